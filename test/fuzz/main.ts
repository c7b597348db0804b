/**
 * @file `npm run fuzz`: hostile files for 10 minutes, the time shared by all targets. `-- --minutes N --target NAME --seed N`;
 * `--input N` reads input N of a seed alone and says what became of it. A find is saved under test/fuzz/regressions/,
 * which every test run reads again. Exit code 1 when there was one.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../src/files/package-root.ts';
import { inputAt, savedInputs, saveFind } from './inputs.ts';
import { runInput, TARGETS } from './targets.ts';

/** A child that says nothing for so long hangs. */
const SILENCE_MS = 60_000;
const MOST_INPUTS = 1_000_000_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    target: { type: 'string' },
    seed: { type: 'string', default: '1' },
    input: { type: 'string' },
  },
});
const seed = Number(values.seed);
const names = values.target === undefined ? Object.keys(TARGETS) : [values.target];
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'selm-fuzz-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true }));

interface Tally {
  executions: number;
  accepted: number;
  finds: string[];
}

/** Runs inputs from `first` on in one process until the deadline; returns the number of the next one. */
async function runProcess(name: string, tally: Tally, { first, deadlineMs }: { first: number; deadlineMs: number }) {
  const target = TARGETS[name];
  if (target === undefined) throw new Error(`No target ${name}: there are ${Object.keys(TARGETS).join(', ')}`);
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  const last = first + (target.inputsPerProcess ?? MOST_INPUTS);
  const script = join(packageRoot, 'test', 'fuzz', 'child.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', script, name, folder, `${seed}`, `${first}`, `${last}`], {
    cwd: packageRoot,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (data: Buffer) => {
    errors = (errors + data.toString()).slice(-4000);
  });
  let end = 'itself' as 'itself' | 'deadline' | 'silence';
  const stop = (why: 'deadline' | 'silence'): void => {
    end = why;
    child.kill('SIGKILL');
  };
  const deadline = setTimeout(() => stop('deadline'), Math.max(0, deadlineMs - performance.now()));
  let silence = setTimeout(() => stop('silence'), SILENCE_MS);
  const found = (what: string, bytes: Uint8Array): void => {
    const path = saveFind(name, bytes);
    tally.finds.push(path);
    console.log(`FIND in ${name}, seed ${seed}: ${what}\n  saved as ${path}`);
  };
  let next = first;
  let accepted = 0;
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    clearTimeout(silence);
    silence = setTimeout(() => stop('silence'), SILENCE_MS);
    const message = JSON.parse(line) as { find?: string; bytes?: string; index: number; accepted?: number };
    if (message.find !== undefined) found(message.find, Buffer.from(message.bytes ?? '', 'base64'));
    else {
      next = message.index;
      accepted = message.accepted ?? 0;
    }
  }
  const code = await closed;
  clearTimeout(deadline);
  clearTimeout(silence);
  tally.executions += next - first;
  tally.accepted += accepted;
  const died = end === 'silence' || (end === 'itself' && code !== 0);
  if (!died) return next;
  const file = join(folder, target.file);
  if (!existsSync(file))
    throw new Error(`The process of ${name} ended before its first input (${end}, ${code}): ${errors}`);
  const input = readFileSync(file);
  found(end === 'silence' ? `no answer for ${SILENCE_MS} ms` : `the process ended (${code}): ${errors}`, input);
  // The guilty input is one of those since the last line; the batch is passed over.
  return next + 1000;
}

async function fuzz(name: string, seconds: number): Promise<Tally> {
  const tally: Tally = { executions: 0, accepted: 0, finds: [] };
  const deadlineMs = performance.now() + seconds * 1000;
  for (let first = 0; performance.now() < deadlineMs && tally.finds.length < 20; )
    first = await runProcess(name, tally, { first, deadlineMs });
  return tally;
}

async function runOne(name: string, index: number): Promise<void> {
  const target = TARGETS[name];
  if (target === undefined) throw new Error(`No target ${name}`);
  const corpus = savedInputs('corpus', name).map(({ bytes }) => bytes);
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  target.prepare?.(folder);
  console.log(await runInput(target, folder, inputAt(name, target, { seed, index, corpus })));
  process.exit(0);
}

if (values.input !== undefined) await runOne(names[0] ?? '', Number(values.input));
const secondsEach = (Number(values.minutes) * 60) / names.length;
let finds = 0;
let executions = 0;
for (const name of names) {
  const tally = await fuzz(name, secondsEach);
  const share = tally.executions === 0 ? 0 : (100 * tally.accepted) / tally.executions;
  console.log(`${name}: ${tally.executions} inputs, ${share.toFixed(1)} % accepted, ${tally.finds.length} finds`);
  finds += tally.finds.length;
  executions += tally.executions;
}
console.log(`seed ${seed}: ${executions} inputs, ${finds} finds`);
process.exitCode = finds === 0 ? 0 : 1;
