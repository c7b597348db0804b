/** @file `selm studio [RUNS]`: every run in the browser, while it goes on and afterwards. It only reads what runs write. */
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { Command, Option } from 'commander';
import { wholeNumber } from './numbers.ts';
import { listenForStop } from './signals.ts';

export interface StudioOptions {
  port: number;
  token?: string;
}

const PORT = 4300;
const RUNS = 'runs';

/** The command. */
export function studioCommand(): Command {
  return new Command('studio')
    .description('watch runs in the browser: curves, pairs and where they come from, samples; runs are only read')
    .argument('[runs...]', 'folders of runs, or with runs in them', [RUNS])
    .option('--port <number>', 'port on this machine; 0 is any free one', wholeNumber(0), PORT)
    .addOption(
      new Option('--token <text>', 'let in by this, so that open pages go on after a restart').env('SELM_STUDIO_TOKEN'),
    )
    .addHelpText(
      'after',
      `
It answers to this machine only. From another one, through a tunnel: ssh -L ${PORT}:127.0.0.1:${PORT} machine

Examples:
  $ selm studio
  $ selm studio runs/quickstart --port 0`,
    )
    .action(studio);
}

/** Serves until a signal comes. */
export async function studio(folders: string[], { port, token }: StudioOptions): Promise<void> {
  // Where processors are few, the runs that are watched come first.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const { serveStudio } = await import('../server/listen.ts');
  // The default folder may come with the first run.
  if (folders.length === 1 && folders[0] === RUNS && !existsSync(RUNS)) mkdirSync(RUNS);
  const served = await serveStudio({ folders, port, token, log: (line) => process.stderr.write(`${line}\n`) });
  process.stdout.write(`The studio is at\n  ${served.url}\nCtrl-C stops it; runs go on.\n`);
  const stop = listenForStop(() => {});
  await once(stop.signal, 'abort');
  stop.close();
  await served.close();
}
