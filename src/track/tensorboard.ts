/** @file TensorBoard: event files in a folder of the run directory. */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { readEventFile, scalarsRecord, versionRecord } from './event-file.ts';
import { groupedName } from './names.ts';
import type { MetricSink, TrackedSoFar, TrackedStep } from './sink.ts';

/** Writes event files into a folder, and goes on with those that are there. */
export function tensorboardSink(folder: string): MetricSink {
  let file: string | null = null;
  return {
    kind: 'tensorboard',
    open: async () => {
      mkdirSync(folder, { recursive: true });
      return soFarIn(folder);
    },
    write: async (steps) => {
      const first = steps[0];
      if (first === undefined) return;
      const seconds = first.timeMs / 1000;
      // One file a process, as TensorBoard has it. Milliseconds in its name keep two processes of one second apart.
      const isNew = file === null;
      file ??= join(folder, `events.out.tfevents.${Math.floor(seconds)}.${hostname()}.${first.timeMs}`);
      const records = steps.map((step) => scalarsRecord(eventOf(step)));
      appendFileSync(file, Buffer.concat(isNew ? [versionRecord(seconds), ...records] : records));
    },
    close: async () => null,
  };
}

function eventOf({ group, step, timeMs, values }: TrackedStep): Parameters<typeof scalarsRecord>[0] {
  const named = Object.entries(values).map(([name, value]): [string, number] => [groupedName(group, name), value]);
  return { wallTimeSeconds: timeMs / 1000, step, values: Object.fromEntries(named) };
}

/** What the folder's files have. Half a record at the end of one is cut off. */
function soFarIn(folder: string): TrackedSoFar {
  let nextStep = 0;
  const measured: Record<string, number> = {};
  for (const name of readdirSync(folder).filter((each) => each.startsWith('events.out.tfevents.'))) {
    const path = join(folder, name);
    const data = readFileSync(path);
    const { events, wholeBytes } = readEventFile(data);
    if (wholeBytes < data.length) truncateSync(path, wholeBytes);
    for (const { step, tags } of events)
      for (const tag of tags) {
        const measure = /^eval\/(.*)$/.exec(tag)?.[1];
        if (measure === undefined) nextStep = Math.max(nextStep, step + 1);
        else measured[measure] = Math.max(measured[measure] ?? 0, step);
      }
  }
  return { nextStep, measured };
}
