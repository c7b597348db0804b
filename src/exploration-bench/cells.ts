/**
 * @file The finished part of a benchmark, on disk. A cell is one world drawn from one seed, with the result of every
 * method in it. A result is stored under everything that it depends on, so a changed method runs again and the others
 * do not.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeFileAtomic } from '../files/atomic.ts';
import { makeFolder } from '../files/fs.ts';
import { sha256 } from '../files/hash.ts';
import type { BenchGrid } from './grid.ts';
import type { Budget, Method } from './method.ts';
import type { RunResult } from './run.ts';
import type { WorldSettings } from './world.ts';

/** Raise it when a run with the same settings comes out differently: results of before are then run again. */
const FORMAT_VERSION = 1;

/** Where results lie: a world by its name, and a seed. */
export interface CellPlace {
  readonly world: string;
  readonly seed: number;
}

/** A world, a seed, and the methods to run in it. */
export interface Cell extends CellPlace {
  readonly settings: WorldSettings;
  readonly budget: Budget;
  readonly methods: readonly Method[];
}

/** Results of a cell's methods, by name. */
export type CellResults = Readonly<Record<string, RunResult>>;

/** A method's result, and what it depends on as a hash. */
export interface StoredResult {
  readonly key: string;
  readonly result: RunResult;
}

interface StoredCell {
  formatVersion: number;
  results: Record<string, StoredResult>;
}

/** All cells of a benchmark, seed by seed: a benchmark that is stopped has the first seeds of every world. */
export function cellsOf({ worlds, seeds, methods }: BenchGrid): Cell[] {
  return seeds.flatMap((seed) =>
    worlds.map(({ name, settings, budget }) => ({ world: name, settings, budget, seed, methods })),
  );
}

/** The results of a cell that are there. A file that cannot be read counts as none: it is made again. */
export function readCell(folder: string, cell: Cell): CellResults {
  const results = readResults(folder, cell);
  return Object.fromEntries(
    cell.methods.flatMap((method) => {
      const stored = results[method.name];
      return stored?.key === keyOf(cell, method) ? [[method.name, stored.result]] : [];
    }),
  );
}

/** Adds results to a cell's file. */
export function writeCell(folder: string, cell: Cell, found: CellResults): void {
  const entries = cell.methods.flatMap((method): [string, StoredResult][] => {
    const result = found[method.name];
    return result === undefined ? [] : [[method.name, { key: keyOf(cell, method), result }]];
  });
  writeResults(folder, cell, Object.fromEntries(entries));
}

/** The methods of a cell that have no result yet. */
export function missingOf(folder: string, cell: Cell): Method[] {
  const results = readCell(folder, cell);
  return cell.methods.filter(({ name }) => results[name] === undefined);
}

/** All results of a world and a seed, by method; whether one is of today's settings, its key says. */
export function readResults(folder: string, place: CellPlace): Record<string, StoredResult> {
  const file = fileOf(folder, place);
  if (!existsSync(file)) return {};
  try {
    const stored = JSON.parse(readFileSync(file, 'utf8')) as StoredCell; // our own file, and a wrong one is made again
    return stored.formatVersion === FORMAT_VERSION && typeof stored.results === 'object' ? stored.results : {};
  } catch {
    return {};
  }
}

/** Adds results to those of a world and a seed. */
export function writeResults(folder: string, place: CellPlace, found: Record<string, StoredResult>): void {
  const stored: StoredCell = {
    formatVersion: FORMAT_VERSION,
    results: { ...readResults(folder, place), ...found },
  };
  const file = fileOf(folder, place);
  makeFolder(dirname(file), { action: 'create' });
  writeFileAtomic(file, `${JSON.stringify(stored, rounded)}\n`);
}

/** What a result is known by: a hash of all that it depends on. */
export function resultKey(dependsOn: readonly unknown[]): string {
  return sha256(JSON.stringify([FORMAT_VERSION, ...dependsOn])).slice(0, 16);
}

function fileOf(folder: string, { world, seed }: CellPlace): string {
  return join(folder, 'cells', world.replace(/[^\w.-]/g, '-'), `seed-${seed}.json`);
}

function keyOf({ settings, budget, seed }: Cell, method: Method): string {
  return resultKey([settings, budget, seed, { ...method, name: '' }]);
}

/** Seven digits are more than any table shows, and half the size. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(7)) : value;
}
