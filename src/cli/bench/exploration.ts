/**
 * @file `selm bench exploration GRID` runs methods in worlds over several seeds, some runs at a time, and can be
 * stopped and continued. It writes results.json, results.md, results.svg, and runs.json to keep. A grid that names a
 * recipe trains a language model; any other has worlds that are computed exactly.
 */
import { join } from 'node:path';
import { Command } from 'commander';
import { runBench } from '../../exploration-bench/bench.ts';
import { cellsOf, readCell } from '../../exploration-bench/cells.ts';
import {
  type BenchComparison,
  type ComparedGrid,
  compareMethods,
  type ResultsByWorld,
} from '../../exploration-bench/comparison.ts';
import { loadGrid } from '../../exploration-bench/grid.ts';
import { languageResults, runLanguageBench } from '../../exploration-bench/language/bench.ts';
import { isLanguageGrid, loadLanguageGrid } from '../../exploration-bench/language/grid.ts';
import { comparisonPicture } from '../../exploration-bench/picture.ts';
import { readRecord, recordText } from '../../exploration-bench/record.ts';
import { comparisonTables } from '../../exploration-bench/tables.ts';
import { writeFileAtomic } from '../../files/atomic.ts';
import { selmCommand, shorterPath } from '../../files/command-line.ts';
import { makeFolder } from '../../files/fs.ts';
import { wholeNumber } from '../numbers.ts';
import { listenForStop } from '../signals.ts';

interface BenchExplorationOptions {
  parallel: number;
  finished?: true;
  recorded?: string;
  keepRuns?: true;
  json?: true;
}

/** The command. */
export function benchExplorationCommand(): Command {
  return new Command('exploration')
    .description('compare ways of exploring under one budget of labels; run it again to continue where it stopped')
    .argument('<grid>', 'file of worlds, methods and seeds (YAML)')
    .option('--parallel <number>', 'processes at once', wholeNumber(1), 1)
    .option('--finished', 'run nothing: compare what is finished so far')
    .option('--recorded <runs.json>', 'run nothing: compare the runs that an earlier benchmark recorded')
    .option('--keep-runs', 'of a language model: keep the folders of finished runs, not only their numbers')
    .option('--json', 'print the comparison as one JSON object')
    .addHelpText('after', '\nExample:\n  $ selm bench exploration recipes/bench/tabular.yaml --parallel 2')
    .action(benchExploration);
}

async function benchExploration(
  file: string,
  { parallel, finished, recorded, keepRuns, json }: BenchExplorationOptions,
): Promise<void> {
  const bench = openBench(file);
  const { grid } = bench;
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const stop = listenForStop((name) =>
    say(`${name}: ends after the runs under way; press Ctrl-C again to stop at once`),
  );
  const runs = grid.worlds.length * grid.methods.length * grid.seeds.length;
  say(`${grid.worlds.length} worlds, ${grid.methods.length} methods, ${grid.seeds.length} seeds: ${runs} runs`);
  let told = 0;
  const progress = (done: number, total: number): void => {
    if (done < total && performance.now() - told < 5000) return;
    told = performance.now();
    say(`${done} of ${total} runs`);
  };
  try {
    if (!finished && recorded === undefined) await bench.run({ parallel, keepRuns, signal: stop.signal, progress });
  } finally {
    stop.close();
  }
  if (stop.received !== null) {
    say(`What is finished is saved; go on with:\n  ${selmCommand(['bench', 'exploration', file])}`);
    process.exitCode = stop.received.exitCode;
    return;
  }
  const results = recorded === undefined ? bench.results() : readRecord(recorded, grid.name, grid);
  const comparison = writeResults(grid, results);
  process.stdout.write(
    json
      ? `${JSON.stringify(comparison)}\n`
      : `${comparisonTables(grid, comparison)}\nIn ${shorterPath(grid.output)}\n`,
  );
}

/** A benchmark of either kind. */
interface Bench {
  readonly grid: ComparedGrid & {
    readonly name: string;
    readonly output: string;
    readonly drawn: readonly string[];
  };
  readonly run: (options: {
    parallel: number;
    keepRuns: true | undefined;
    signal: AbortSignal;
    progress: (done: number, total: number) => void;
  }) => Promise<number>;
  readonly results: () => ResultsByWorld;
}

function openBench(file: string): Bench {
  if (isLanguageGrid(file)) {
    const grid = loadLanguageGrid(file);
    return { grid, run: (options) => runLanguageBench(grid, options), results: () => languageResults(grid) };
  }
  const grid = loadGrid(file);
  const results = (): ResultsByWorld => {
    const found = new Map<string, ReturnType<typeof readCell>[]>(grid.worlds.map(({ name }) => [name, []]));
    for (const cell of cellsOf(grid)) found.get(cell.world)?.push(readCell(grid.output, cell));
    return found;
  };
  return { grid, run: (options) => runBench(grid, options), results };
}

/** Writes what was found. */
function writeResults(grid: Bench['grid'], results: ResultsByWorld): BenchComparison {
  const comparison = compareMethods(grid, results);
  makeFolder(grid.output, { action: 'create' });
  const write = (name: string, text: string): void => writeFileAtomic(join(grid.output, name), text);
  const { baseline, seeds, worlds, methods } = grid;
  write('results.json', `${JSON.stringify({ formatVersion: 1, baseline, seeds, worlds, methods, ...comparison })}\n`);
  write('results.md', comparisonTables(grid, comparison));
  write('results.svg', comparisonPicture(grid, results));
  write('runs.json', recordText(grid.name, grid, results));
  return comparison;
}
