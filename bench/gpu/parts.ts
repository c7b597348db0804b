/**
 * @file What the benchmark of a GPU consists of: its parts in order, how long each may take, and what runs it. Every part is a process of
 * its own, so that one that fails or hangs costs only itself, and the memory of the card is whole for the next.
 */
import { decode, graphs, type Peaks, prefill, score, trainSteps, type Workload } from './work.ts';

/** A part's result: numbers and words for its row of the table; null for a number that is not known, as a share of no known peak. */
export type PartResult = Record<string, number | string | null>;

type Run = (work: Workload, peaks: Peaks) => Promise<PartResult> | PartResult;

/** A part, and the seconds that it may take, with its start and its random weights. */
export type Part =
  | { name: string; limitSeconds: number; kind: 'tests' }
  | { name: string; limitSeconds: number; kind: 'own'; run: Run }
  | { name: string; limitSeconds: number; kind: 'peer'; task: 'dpo' | 'generate' };

/** What has a goal comes first: whatever happens later, it has been measured. */
export const PARTS: readonly Part[] = [
  { name: 'graphs', limitSeconds: 30, kind: 'own', run: (work) => graphs(work, { batch: 64 }) },
  { name: 'decode 64', limitSeconds: 30, kind: 'own', run: (work, peaks) => decode(work, { batch: 64, peaks }) },
  { name: 'decode 256', limitSeconds: 45, kind: 'own', run: (work, peaks) => decode(work, { batch: 256, peaks }) },
  { name: 'lora', limitSeconds: 45, kind: 'own', run: (work, peaks) => trainSteps(work, { lora: true, peaks }) },
  {
    name: 'all weights',
    limitSeconds: 45,
    kind: 'own',
    run: (work, peaks) => trainSteps(work, { lora: false, peaks }),
  },
  { name: 'prefill', limitSeconds: 25, kind: 'own', run: (work, peaks) => prefill(work, { prompts: 64, peaks }) },
  { name: 'score', limitSeconds: 25, kind: 'own', run: (work, peaks) => score(work, { peaks }) },
  { name: 'device tests', limitSeconds: 95, kind: 'tests' },
  { name: 'peers dpo', limitSeconds: 55, kind: 'peer', task: 'dpo' },
  { name: 'peers generate', limitSeconds: 55, kind: 'peer', task: 'generate' },
];

/** The parts of some names, in their order; all of them where no name is given. Throws an Error that lists the names where one is of no part. */
export function partsNamed(names: readonly string[]): readonly Part[] {
  const unknown = names.find((name) => !PARTS.some((part) => part.name === name));
  if (unknown !== undefined)
    throw new Error(`No part is called "${unknown}": there are ${PARTS.map(({ name }) => `"${name}"`).join(', ')}`);
  return names.length === 0 ? PARTS : PARTS.filter(({ name }) => names.includes(name));
}

/** Seconds of the whole, with the build before it. */
export const WHOLE_SECONDS = 480;

const CARDS: readonly { pattern: RegExp; peaks: Peaks }[] = [
  { pattern: /H200/, peaks: { flops: 989e12, bytesPerSecond: 4.8e12 } },
  { pattern: /H100 80GB HBM3/, peaks: { flops: 989e12, bytesPerSecond: 3.35e12 } },
  { pattern: /A100.*80GB/, peaks: { flops: 312e12, bytesPerSecond: 2.04e12 } },
];

/** The peaks of a card by its name; NaN where they are not known here, and so are the shares of them. */
export function peaksOf(card: string): Peaks {
  return CARDS.find(({ pattern }) => pattern.test(card))?.peaks ?? { flops: Number.NaN, bytesPerSecond: Number.NaN };
}

/** Begins the line that a part's result stands on; of several the last counts. */
export const RESULT = 'RESULT ';

/** The last result among the lines that a part printed; null where it printed none. A line that was cut off does not count. */
export function readResult(output: string): PartResult | null {
  const lines = output.split('\n').filter((line) => line.startsWith(RESULT));
  for (const line of lines.reverse()) {
    try {
      return JSON.parse(line.slice(RESULT.length)) as PartResult;
    } catch {}
  }
  return null;
}

/** A part as it ended. */
export interface Row {
  what: string;
  seconds: number;
  result: PartResult;
}

/** Rows as a table in Markdown. */
export function tableOf(rows: readonly Row[]): string {
  const value = (each: number | string | null): string =>
    typeof each === 'number' ? String(Number(each.toPrecision(4))) : (each ?? 'not known');
  const cells = (result: PartResult): string =>
    Object.entries(result)
      .map(([name, each]) => `${name} ${value(each).replaceAll('|', '/').replaceAll('\n', ' ')}`)
      .join(', ');
  return [
    '| part | seconds | result |',
    '| --- | ---: | --- |',
    ...rows.map(({ what, seconds, result }) => `| ${what} | ${seconds.toFixed(1)} | ${cells(result)} |`),
  ].join('\n');
}
