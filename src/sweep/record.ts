/** @file sweep.json in the folder of a sweep: which arms it has and where their runs lie, so that they can be compared later. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { z } from 'zod';
import { RunError } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { fileError, makeFolder } from '../files/fs.ts';
import type { SweepPlan } from './plan.ts';

const FILE = 'sweep.json';
const FORMAT_VERSION = 1;

const recordSchema = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  name: z.string(),
  title: z.string(),
  /** Arm that the others are compared with. */
  baseline: z.string(),
  arms: z.array(
    z.object({
      name: z.string(),
      label: z.string(),
      settings: z.record(z.string(), z.unknown()),
      grid: z.number().nullable(),
      /** Paths are relative to the folder of the sweep. */
      runs: z.array(z.object({ seed: z.number(), path: z.string() })),
    }),
  ),
});

/** What is kept of a sweep. */
export type SweepRecord = z.output<typeof recordSchema>;

/** Writes the record of a sweep into its folder, which it makes. */
export function writeSweepRecord({ sweep, arms }: SweepPlan): void {
  makeFolder(sweep.output, { action: 'create the folder of a sweep' });
  const record: SweepRecord = {
    formatVersion: FORMAT_VERSION,
    name: sweep.name,
    title: sweep.title,
    baseline: sweep.baseline ?? arms[0]?.name ?? '',
    arms: arms.map((arm) => ({
      ...arm,
      settings: { ...arm.settings },
      runs: arm.runs.map(({ seed, path }) => ({ seed, path: relative(sweep.output, path).split(sep).join('/') })),
    })),
  };
  writeFileAtomic(join(sweep.output, FILE), `${JSON.stringify(record, null, 1)}\n`);
}

/** The record in the folder of a sweep, with absolute paths; null where the folder is no sweep's. Throws RunError. */
export function readSweepRecord(folder: string): SweepRecord | null {
  const file = join(folder, FILE);
  if (!existsSync(file)) return null;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw fileError(error, { action: 'read', path: file });
  }
  const parsed = recordSchema.safeParse(value);
  if (!parsed.success) {
    throw new RunError(
      'SWEEP_DAMAGED',
      `Cannot read "${file}": it is not the record of a sweep of format version ${FORMAT_VERSION}: run \`selm sweep\` on its file again, which rewrites it`,
      { details: { file } },
    );
  }
  const { data } = parsed;
  const arms = data.arms.map((arm) => ({
    ...arm,
    runs: arm.runs.map(({ seed, path }) => ({ seed, path: resolve(folder, path) })),
  }));
  return { ...data, arms };
}

/** Runs in the folder of a sweep that its file no longer has, relative to the folder. */
export function strayRuns({ sweep, runs }: SweepPlan): string[] {
  const known = new Set(runs.map(({ recipe }) => recipe.output));
  return foldersIn(sweep.output)
    .flatMap((arm) => foldersIn(arm))
    .filter((run) => existsSync(join(run, 'config.yaml')) && !known.has(run))
    .map((run) => relative(sweep.output, run));
}

function foldersIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name));
}
