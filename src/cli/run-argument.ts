/** @file The RUN argument of commands that read a run: its folder, or its name under runs/. */
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { RunError } from '../errors.ts';
import { nearest } from '../recipe/nearest.ts';
import { type Ledger, openLedger } from '../store/ledger.ts';
import { type RunConfig, readRunConfig } from '../store/run-config.ts';

/** How the argument is explained in every command's help. */
export const RUN_ARGUMENT = 'folder of a run, or its name under runs/';

/** A run opened for reading; a run in progress may be read too. Close it, or let `using` do so. */
export interface ReadableRun {
  path: string;
  config: RunConfig;
  ledger: Ledger;
  [Symbol.dispose](): void;
}

/** Opens a run for reading. Throws RunError RUN_MISSING with the nearest name, or what the ledger's opening throws. */
export function openRunArgument(run: string): ReadableRun {
  const candidates = [resolve(run), resolve('runs', run)];
  for (const path of candidates) {
    const config = existsSync(path) ? readRunConfig(path) : null;
    if (config === null) continue;
    const ledger = openLedger(join(path, 'run.db'), { access: 'read' });
    return { path, config, ledger, [Symbol.dispose]: () => ledger.close() };
  }
  const names = runNames();
  const near = nearest(run, names);
  const fix =
    near !== null
      ? `did you mean "${near}"`
      : names.length > 0
        ? `runs/ has ${names.slice(0, 10).join(', ')}`
        : 'runs/ has none';
  throw new RunError(
    'RUN_MISSING',
    `Cannot open run "${run}": there is no config.yaml in ${candidates.join(' or ')}: ${fix}`,
    {
      details: { run, candidates },
    },
  );
}

function runNames(): string[] {
  try {
    return readdirSync('runs').filter((name) => existsSync(join('runs', name, 'config.yaml')));
  } catch {
    return []; // no folder, no names: only a hint depends on it
  }
}
