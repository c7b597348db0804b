/**
 * @file `selm clean RUN` lists what may be deleted of a run and how much space that frees. It deletes only with --yes.
 */
import { Command } from 'commander';
import { selmCommand, shorterPath } from '../files/command-line.ts';
import { formatBytes } from '../files/fs.ts';
import { type DisposableKind, deleteDisposables, disposablesOf } from '../store/disposable.ts';
import { formatTable } from './format.ts';
import { openRunArgument, RUN_ARGUMENT } from './run-argument.ts';

interface CleanOptions {
  keepModels?: true;
  yes?: true;
  json?: true;
}

/** What each kind is, and what its loss means. */
const MEANING: Readonly<Record<DisposableKind, string>> = {
  leftover: 'left by a process that died while it wrote',
  checkpoint: 'checkpoints of a training whose model is there',
  model: 'an earlier model: it can be trained again, but until then nothing can measure it',
};

/** The command. */
export function cleanCommand(): Command {
  return new Command('clean')
    .description('show what may be deleted of a run and how much space that frees; --yes deletes it')
    .argument('<run>', RUN_ARGUMENT)
    .option('--keep-models', 'leave the models of all iterations')
    .option('--yes', 'delete what is shown')
    .option('--json', 'as one JSON object')
    .addHelpText('after', '\nExample:\n  $ selm clean quickstart\n  $ selm clean quickstart --keep-models --yes')
    .action(clean);
}

function clean(name: string, { keepModels, yes, json }: CleanOptions): void {
  using run = openRunArgument(name);
  const about = { path: run.path, recipe: run.config.recipe, ledger: run.ledger };
  const found = disposablesOf(about).filter(({ kind }) => keepModels !== true || kind !== 'model');
  const bytes = found.reduce((sum, each) => sum + each.bytes, 0);
  if (yes === true) deleteDisposables(run, found);
  if (json) {
    console.log(JSON.stringify({ path: run.path, deleted: yes === true, bytes, disposables: found }));
    return;
  }
  if (found.length === 0) {
    console.log(`Nothing of ${shorterPath(run.path)} may be deleted: all of it is needed or cannot be made again`);
    return;
  }
  const rows = found.map(({ path, bytes: own, kind }) => [shorterPath(path), formatBytes(own), MEANING[kind]]);
  console.log(formatTable(['path', 'size', 'what it is'], rows));
  console.log(
    yes === true
      ? `\nDeleted: ${formatBytes(bytes)} are free again`
      : `\nDeleting these frees ${formatBytes(bytes)}: ${selmCommand(['clean', name, ...(keepModels ? ['--keep-models'] : []), '--yes'])}`,
  );
}
