/** @file `selm runs [FOLDER]` lists every run below a folder: its state, how far it is, and the space that it takes. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { selmCommand, shorterPath } from '../files/command-line.ts';
import { formatBytes } from '../files/fs.ts';
import type { RunSummary } from '../server/api.ts';
import { OpenRuns } from '../server/open-runs.ts';
import { checkFolders } from '../server/run-list.ts';
import { bytesIn } from '../store/disposable.ts';
import { formatTable } from './format.ts';

const RUNS = 'runs';

/** The command. */
export function runsCommand(): Command {
  return new Command('runs')
    .description('list runs: how each stands, where it is, and the space that it takes')
    .argument('[folders...]', 'folders of runs, or with runs in them', [RUNS])
    .option('--json', 'one JSON object a run')
    .addHelpText('after', '\nExample:\n  $ selm runs\n  $ selm runs sweeps --json')
    .action(listRuns);
}

function listRuns(folders: string[], { json }: { json?: true }): void {
  // Where nothing was run yet, there is no folder of runs either.
  const isFirst = folders.length === 1 && folders[0] === RUNS && !existsSync(RUNS);
  const open = new OpenRuns(isFirst ? [] : checkFolders(folders));
  try {
    const runs = open.summaries().map((summary) => {
      const { path } = open.find(summary.id);
      return { ...summary, path, bytes: bytesIn(path) };
    });
    if (json) for (const run of runs) console.log(JSON.stringify(run));
    else console.log(runs.length === 0 ? noRuns(folders) : tableOf(runs));
  } finally {
    open.close();
  }
}

function tableOf(runs: readonly (RunSummary & { path: string; bytes: number })[]): string {
  const rows = runs.map((run) => [
    run.id,
    run.standing,
    placeOf(run),
    run.lastSignMs === null ? '' : new Date(run.lastSignMs).toISOString().slice(0, 16).replace('T', ' '),
    formatBytes(run.bytes),
  ]);
  return formatTable(['run', 'state', 'place', 'last sign (UTC)', 'size'], rows);
}

function placeOf({ place, kind }: RunSummary): string {
  if (place === null) return '';
  return kind === 'fine-tuning' ? place.stage : `iteration ${place.iteration}/${place.iterations}, ${place.stage}`;
}

function noRuns(folders: readonly string[]): string {
  const where = folders.map((folder) => shorterPath(resolve(folder))).join(', ');
  return `No runs in ${where}. Start one with ${selmCommand(['train', 'recipe.yaml'])}`;
}
