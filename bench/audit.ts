/**
 * @file The audit of large data: rows a second and peak memory at growing numbers of rows, beside reading the same lines
 * with JSON.parse alone. Memory is that of all its processes together. Fails when the memory or the growth of the time is not what is promised.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeRows, writeTokenizer } from './audit-data.ts';
import { residentBytes } from './process-tree.ts';

/** What is promised for a million rows, and so for fewer. */
const MOST_MEMORY_MB = 500;

interface Result {
  rows: number;
  seconds: number;
  /** Of the run's own process and of its tokenizer's. */
  cpuSeconds: number;
  peakMb: number;
}

const here = dirname(fileURLToPath(import.meta.url));

/** How often the memory is looked at; what is held for less may be missed. */
const LOOK_EVERY_MS = 100;

async function measure(what: 'audit' | 'parse', file: string, model: string): Promise<Result> {
  const args = ['--import', 'tsx', join(here, 'audit-run.ts'), what, file, model];
  const run = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  run.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  let peakBytes = 0;
  const timer = setInterval(() => {
    peakBytes = Math.max(peakBytes, residentBytes(run.pid ?? 0));
  }, LOOK_EVERY_MS);
  const [status]: unknown[] = await once(run, 'close');
  clearInterval(timer);
  if (status !== 0) throw new Error(`${what} of ${file} ended with ${String(status)}`);
  const line = output.trim().split('\n').at(-1) ?? '';
  return { ...(JSON.parse(line) as Omit<Result, 'peakMb'>), peakMb: peakBytes / 1e6 };
}

function show(name: string, { rows, seconds, cpuSeconds, peakMb }: Result): string {
  const rate = Math.round(rows / seconds);
  const each = (1e6 * cpuSeconds) / rows;
  return `  ${name.padEnd(12)} ${seconds.toFixed(1)} s, ${rate} rows/s, ${each.toFixed(0)} µs of processor a row, peak ${peakMb.toFixed(0)} MB\n`;
}

/** The command. Options: --rows 10000,100000,1000000, --model FOLDER, --sentences (most in an answer: shorter rows). */
export async function benchAudit(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      rows: { type: 'string', default: '10000,100000,1000000' },
      model: { type: 'string' },
      sentences: { type: 'string', default: '14' },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'selm-bench-audit-'));
  const model = values.model ?? join(folder, 'model');
  if (values.model === undefined) writeTokenizer(model);
  process.stdout.write(
    `${cpus().length} x ${cpus()[0]?.model}; tokenizer: ${values.model ?? 'made, of whole words'}\n`,
  );
  const costs: number[] = [];
  let mostMb = 0;
  try {
    for (const rows of values.rows.split(',').map(Number)) {
      const file = join(folder, 'rows.jsonl');
      writeRows(file, rows, Number(values.sentences));
      process.stdout.write(`\n${rows} rows, ${(statSync(file).size / 1e6).toFixed(0)} MB\n`);
      process.stdout.write(show('JSON.parse', await measure('parse', file, model)));
      const result = await measure('audit', file, model);
      process.stdout.write(show('audit', result));
      costs.push(result.cpuSeconds / result.rows);
      mostMb = Math.max(mostMb, result.peakMb);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  const growth = (costs.at(-1) ?? 0) / (costs[0] ?? 1);
  process.stdout.write(
    `\nProcessor time a row at the most rows is ${growth.toFixed(2)} times that at the fewest; peak memory ${mostMb.toFixed(0)} MB of ${MOST_MEMORY_MB}\n`,
  );
  if (mostMb > MOST_MEMORY_MB || growth > 1.5) process.exitCode = 1;
}
