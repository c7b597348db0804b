/**
 * @file One rank of two threads against two ranks of one thread, in turns: pairs/s, losses, and the bytes that two ranks send in
 * a step beside the formula of docs/scale.md.
 */
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { here, spread } from './dpo.ts';

interface Result {
  losses: number[];
  pairs_per_s: number;
  /** Of all ranks together. */
  bytes_a_step: number;
  parameters: number;
  /** Bytes a second that a rank sends in a collective; none alone. */
  rates: Record<string, number>;
}

/** Runs all ranks; what rank 0 measured. */
async function measureRanks(size: number, threads: number, rest: readonly string[]): Promise<Result> {
  const lines = await outputsOfRanks(join(here, 'ranks-run.ts'), size, [String(threads), ...rest]);
  return JSON.parse(lines.join('').trim().split('\n').at(-1) ?? '') as Result; // of our own process
}

/** Runs a script as all ranks, each with its number, theirs, and a port; what each printed. */
export async function outputsOfRanks(script: string, size: number, rest: readonly string[]): Promise<string[]> {
  const port = String(await freePort());
  return Promise.all(
    Array.from({ length: size }, (_, rank) => outputOf(script, [String(rank), String(size), port, ...rest])),
  );
}

/** Runs a script; what it printed. */
export function outputOf(script: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (data: Buffer) => (text += data.toString()));
    child.on('close', (code) => (code === 0 ? resolve(text) : reject(new Error(`A rank ended with ${code}`))));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** The command. Options: --dtype, --kind full|lora, --steps, --batch, --repeats. */
export async function benchRanks(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      dtype: { type: 'string', default: 'float32' },
      kind: { type: 'string', default: 'full' },
      steps: { type: 'string', default: '6' },
      batch: { type: 'string', default: '32' },
      repeats: { type: 'string', default: '3' },
    },
  });
  const rest = [values.steps, values.batch, values.dtype, values.kind];
  process.stdout.write(
    `${cpus().length} x ${cpus()[0]?.model}; 15 M parameters (${values.kind}), ${values.dtype}, ${values.steps} steps of ${values.batch} pairs\n`,
  );
  const turns: { one: Result; two: Result }[] = [];
  for (let turn = 0; turn < Number(values.repeats); turn++)
    turns.push({ one: await measureRanks(1, 2, rest), two: await measureRanks(2, 1, rest) });
  const of = (pick: (turn: { one: Result; two: Result }) => number, digits?: number): string =>
    spread(turns.map(pick), digits);
  process.stdout.write(`  1 rank x 2 threads   ${of(({ one }) => one.pairs_per_s)} pairs/s (least / median / most)\n`);
  process.stdout.write(`  2 ranks x 1 thread   ${of(({ two }) => two.pairs_per_s)} pairs/s\n`);
  process.stdout.write(`  ratio                ${of(({ one, two }) => two.pairs_per_s / one.pairs_per_s)}\n`);
  const difference = ({ one, two }: { one: Result; two: Result }): number =>
    Math.max(...one.losses.map((loss, step) => Math.abs(loss - (two.losses[step] ?? Number.NaN))));
  for (const name of ['sum', 'reduce', 'gather'] as const)
    process.stdout.write(
      `  ${`${name} of 64 MiB`.padEnd(20)} ${of(({ two }) => (two.rates[name] ?? Number.NaN) / 1e6)} MB/s sent by a rank\n`,
    );
  process.stdout.write(`  losses differ by     ${of(difference, 9)}\n`);
  const parameters = turns[0]?.two.parameters ?? Number.NaN;
  // Both ranks send, each 2 (N - 1) / N x 4 P + 48 (N - 1) / N x pairs with N = 2.
  const formula = 2 * (4 * parameters + 24 * Number(values.batch));
  process.stdout.write(
    `  MB a step, sent      ${of(({ two }) => two.bytes_a_step / 1e6)} over the loopback interface; the formula says ${(formula / 1e6).toFixed(2)}\n`,
  );
}
