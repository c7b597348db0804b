/**
 * @file W&B: the folder that its own client writes offline, in the run's directory, and the command that uploads it.
 * W&B has no client for Node that keeps up with its server. A run that continues appends to the same file.
 */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { groupedName } from './names.ts';
import {
  exitRecord,
  FILE_HEAD,
  framed,
  historyRecord,
  openingRecords,
  type RunFile,
  readRunFile,
  STEP_NAME,
  summaryRecord,
} from './run-file.ts';
import type { MetricSink, Outcome, TrackedRun, TrackedSoFar } from './sink.ts';

/** Exit codes as W&B reads them; 255 is a run that somebody stopped. */
const EXIT_CODES: Readonly<Record<Outcome, number>> = { finished: 0, stopped: 255, failed: 1 };

/** A file that is written on, with what it has. */
interface OpenFile {
  path: string;
  bytes: number;
  rows: number;
  startMs: number;
  lastMs: number;
}

/** Writes `RUN/folder/offline-run-TIME-ID/run-ID.wandb`. */
export function wandbSink(run: TrackedRun, { project, folder }: { project: string; folder: string }): MetricSink {
  const id = run.name.replaceAll(/[^A-Za-z0-9_-]/g, '-');
  const root = join(run.path, folder);
  let file: OpenFile | null = null;

  function append(to: OpenFile, records: readonly Buffer[]): void {
    const data = framed(records, to.bytes);
    appendFileSync(to.path, data);
    to.bytes += data.length;
  }
  function begin(startMs: number): OpenFile {
    const made = join(root, `offline-run-${dateOf(startMs)}-${id}`);
    mkdirSync(made, { recursive: true });
    const path = join(made, `run-${id}.wandb`);
    writeFileSync(path, FILE_HEAD);
    const begun = { path, bytes: FILE_HEAD.length, rows: 0, startMs, lastMs: startMs };
    append(begun, openingRecords({ id, project, name: run.name, startMs, settings: run.settings }));
    return begun;
  }

  return {
    kind: 'wandb',
    open: async () => {
      mkdirSync(root, { recursive: true });
      const path = fileIn(root, id);
      if (path === null) return { nextStep: 0, measured: {} };
      const found = readRunFile(readFileSync(path));
      // A file that lacks its beginning holds nothing that could go on.
      if (found.startMs === null) {
        rmSync(path);
        return { nextStep: 0, measured: {} };
      }
      // The end of the run before is no end any more, and half a record that a killed process left is none.
      truncateSync(path, found.endBytes);
      const startMs = found.startMs;
      file = { path, bytes: found.endBytes, rows: found.rows.length, startMs, lastMs: startMs };
      return soFarOf(found);
    },
    write: async (steps) => {
      const [first] = steps;
      if (first === undefined) return;
      file ??= begin(first.timeMs);
      const { rows, startMs } = file;
      const named = steps.map(({ group, step, timeMs, values }, i) => ({
        row: rows + i,
        timeMs,
        values: {
          ...Object.fromEntries(Object.entries(values).map(([name, value]) => [groupedName(group, name), value])),
          [STEP_NAME]: step,
        },
      }));
      const last = summaryRecord(Object.assign({}, ...named.map(({ values }) => values)) as Record<string, number>);
      append(file, [...named.map((row) => historyRecord(row, startMs)), last]);
      file.rows += steps.length;
      file.lastMs = steps.at(-1)?.timeMs ?? file.lastMs;
      // What was uploaded before is no longer all: the mark of W&B's program would keep it from this file.
      rmSync(`${file.path}.synced`, { force: true });
    },
    close: async (outcome) => {
      if (file === null) return null;
      const runtimeSeconds = Math.max(0, file.lastMs - file.startMs) / 1000;
      append(file, [exitRecord({ code: EXIT_CODES[outcome], runtimeSeconds })]);
      return `W&B: wandb sync ${join(file.path, '..')}`;
    },
  };
}

/** The file of the run in its folder of W&B's, which a process before began; null where there is none. */
function fileIn(root: string, id: string): string | null {
  const names = readdirSync(root).filter((name) => name.startsWith('offline-run-'));
  const files = names.flatMap((name) =>
    readdirSync(join(root, name)).flatMap((each) => (each === `run-${id}.wandb` ? [join(root, name, each)] : [])),
  );
  return files[0] ?? null;
}

function soFarOf({ rows }: RunFile): TrackedSoFar {
  let nextStep = 0;
  const measured: Record<string, number> = {};
  for (const { values } of rows) {
    const step = values[STEP_NAME] ?? 0;
    for (const name of Object.keys(values)) {
      const measure = /^eval\/(.*)$/.exec(name)?.[1];
      if (measure !== undefined) measured[measure] = Math.max(measured[measure] ?? 0, step);
      else if (name !== STEP_NAME) nextStep = Math.max(nextStep, step + 1);
    }
  }
  return { nextStep, measured };
}

/** `20261127_220706`, as in the names of W&B's folders. */
function dateOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '_');
}
