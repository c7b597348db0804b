/**
 * @file The benchmark of one GPU (bench/gpu/run.sh calls it): every part in a process of its own, one after the other, within what is left
 * of eight minutes. `main.ts OUT DEVICE full|tiny [PART...]`: what each part said goes to OUT/parts.log, a table is printed last, and
 * OUT/gpu.json has the same as JSON. A part that fails, hangs or finds no time is a row that says so.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/files/package-root.ts';
import { askGpus, cardOf } from '../../src/torch/gpus.ts';
import { readEngineRecord } from '../../src/torch/native.ts';
import { type Part, type PartResult, partsNamed, type Row, readResult, tableOf, WHOLE_SECONDS } from './parts.ts';
import { rawConfig, workOf } from './shapes.ts';

const [out = '.', device = 'cuda', sizeName = 'full', ...only] = process.argv.slice(2);
const size = sizeName === 'tiny' ? 'tiny' : 'full';
/** run.sh says when it began: building counts. */
const startedMs = Number(process.env.GPU_BENCH_STARTED ?? Math.floor(Date.now() / 1000)) * 1000;
/** What the table takes, and the end of a process that is told to end. */
const RESERVE_SECONDS = 5;
const log = join(out, 'parts.log');
writeFileSync(log, '');

const rows: Row[] = [];
for (const part of partsNamed(only)) {
  const beganMs = Date.now();
  const leftSeconds = WHOLE_SECONDS - RESERVE_SECONDS - (beganMs - startedMs) / 1000;
  const result = leftSeconds < 5 ? { failed: 'no time was left' } : await runPart(part, leftSeconds);
  rows.push({ what: part.name, seconds: (Date.now() - beganMs) / 1000, result });
  console.log(`${part.name.padEnd(16)} ${JSON.stringify(result)}`);
  write();
}
console.log(`\n${tableOf(rows)}`);

/** Runs a part and reads its result: what it found before it was cut off counts. */
async function runPart(part: Part, leftSeconds: number): Promise<PartResult> {
  const limitSeconds = Math.min(part.limitSeconds, leftSeconds);
  appendFileSync(log, `\n==== ${part.name}\n`);
  const { code, isCut, output } = await run(commandOf(part), limitSeconds);
  const found = part.kind === 'tests' ? testCounts(output) : readResult(output);
  const cut: PartResult = isCut ? { 'cut off after seconds': Math.round(limitSeconds) } : {};
  if (found !== null) return { ...found, ...cut };
  return { failed: isCut ? 'no result' : `exit ${code}: ${lastWords(output)}`, ...cut };
}

/** Command line of a part, with what it adds to the environment. */
function commandOf(part: Part): { command: string; args: string[]; env?: NodeJS.ProcessEnv } {
  switch (part.kind) {
    case 'tests': {
      const files = size === 'tiny' ? ['src/sample/blocks.test.ts'] : [];
      const args = ['node_modules/vitest/vitest.mjs', 'run', ...files, '--maxWorkers', size === 'tiny' ? '1' : '4'];
      const env = { SELM_TESTS: 'device', SELM_TEST_DEVICE: device, NO_COLOR: '1' };
      return { command: process.execPath, args: [...args, '--reporter=verbose'], env };
    }
    case 'own':
      return { command: process.execPath, args: ['--import', 'tsx', 'bench/gpu/part.ts', part.name, device, size] };
    case 'peer': {
      const { config: _, ...numbers } = workOf(size, device);
      const work = JSON.stringify({ ...numbers, config: rawConfig(size), size });
      return { command: process.env.PYTHON ?? 'python3', args: ['bench/gpu/peers.py', part.task, work] };
    }
  }
}

/** Runs a command to its end or its limit, and returns all that it said, which the log has at once; its own children end with it. */
function run(
  { command, args, env }: ReturnType<typeof commandOf>,
  limitSeconds: number,
): Promise<{ code: number | null; isCut: boolean; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: packageRoot, detached: true, env: { ...process.env, ...env } });
    let output = '';
    const hear = (text: string): void => {
      output += text;
      appendFileSync(log, text);
    };
    let isCut = false;
    const end = (): void => {
      isCut = true;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    };
    const timer = setTimeout(end, limitSeconds * 1000);
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', hear);
    const finish = (code: number | null): void => {
      clearTimeout(timer);
      resolve({ code, isCut, output });
    };
    child.on('error', (error) => {
      hear(`${error.message}\n`);
      finish(null);
    });
    child.on('close', finish);
  });
}

/** How many tests passed and failed, and which failed. */
function testCounts(output: string): PartResult | null {
  const passed = output.match(/^ *✓ /gm)?.length ?? 0;
  const failed = [...new Set([...output.matchAll(/^ *[×✗] (.*?)(?: \d+m?s)?$/gm)].map(([, name = '']) => name))];
  if (passed + failed.length === 0) return null;
  return { passed, failed: failed.length, ...(failed.length === 0 ? {} : { 'failed ones': failed.join('; ') }) };
}

function lastWords(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return (lines.findLast((line) => /Error|error/.test(line)) ?? lines.at(-1) ?? 'it said nothing').trim().slice(0, 300);
}

function write(): void {
  const answer = askGpus();
  const card = answer.kind === 'cards' ? cardOf(device, answer.cards) : null;
  const { config: _, ...work } = workOf(size, device);
  const libtorch = readEngineRecord()?.libtorchVersion ?? null;
  const record = { formatVersion: 2, card, libtorch, size, work, config: rawConfig(size), rows };
  writeFileSync(join(out, 'gpu.json'), `${JSON.stringify(record, null, 2)}\n`);
}
