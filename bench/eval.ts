/**
 * @file Likelihood benchmarks with examples against lm-evaluation-harness, in turns: same model, rows, examples, type and threads.
 * Ratios are taken within one turn, where both met the same machine. The harness runs at the better of two batch sizes.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { here } from './dpo.ts';

interface Result {
  seconds: number;
  /** Of all threads: what can be compared on a machine that others use. */
  processor_seconds: number;
  /** Log-likelihoods of the first item: both must mean the same. */
  first: number[];
  peak_rss_mb: number;
}

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'selm');
const environment = join(cache, 'lm-eval');
const python = join(environment, 'bin', 'python');

function run(command: string, args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stderr}`);
  return stdout;
}

function measure(command: string, args: string[]): Result {
  return JSON.parse(run(command, args).trim().split('\n').at(-1) ?? '') as Result;
}

function prepare(model: string | undefined): string {
  const peers = join(here, 'peers');
  if (!existsSync(python)) {
    process.stderr.write(`Making the harness's Python environment in ${environment} (about 5 GB)\n`);
    run('python3', ['-m', 'venv', environment]);
    const files = ['requirements.txt', 'requirements-eval.txt'].flatMap((name) => ['-r', join(peers, name)]);
    run(python, ['-m', 'pip', 'install', '-q', ...files]);
  }
  if (model !== undefined) return model;
  const made = join(cache, 'bench-data', '15m');
  if (!existsSync(made)) run(python, [join(peers, 'make_model.py'), '15m', made]);
  return made;
}

/** The command. Options: --model FOLDER, --data FOLDER (default: the fixtures'), --tasks, --items, --dtype, --threads, --repeats, --tokens (ours at once), --batches. */
export function benchEval(args: string[]): void {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string' },
      data: { type: 'string' },
      tasks: { type: 'string', default: 'arc_challenge,hellaswag,openbookqa' },
      items: { type: 'string', default: '16' },
      dtype: { type: 'string', default: 'float32' },
      threads: { type: 'string', default: '2' },
      repeats: { type: 'string', default: '3' },
      tokens: { type: 'string', default: '4096' },
      batches: { type: 'string', default: '1,4' },
    },
  });
  const model = prepare(values.model);
  const data = values.data ?? join(here, '..', 'test', 'fixtures', 'evaluate', 'benchmarks', 'data');
  process.stdout.write(
    `${cpus().length} x ${cpus()[0]?.model}; ${model}, ${values.dtype}, ${values.threads} threads, ${values.items} items; numbers: minimum / median / maximum of ${values.repeats}\n`,
  );
  for (const task of values.tasks.split(',')) {
    const common = [model, data, task, values.items, values.dtype, values.threads];
    const ours: Result[] = [];
    const theirs: Result[] = [];
    for (let turn = 0; turn < Number(values.repeats); turn++) {
      ours.push(measure(process.execPath, ['--import', 'tsx', join(here, 'eval-run.ts'), ...common, values.tokens]));
      const found = values.batches
        .split(',')
        .map((batch) => measure(python, [join(here, 'peers', 'lm_eval_tasks.py'), ...common, batch]));
      theirs.push(found.reduce((best, each) => (each.seconds < best.seconds ? each : best)));
    }
    const ratios = (of: 'seconds' | 'processor_seconds'): string =>
      spread(ours.map((own, turn) => (theirs[turn]?.[of] ?? Number.NaN) / own[of]));
    const line = (name: string, results: readonly Result[]): string =>
      `  ${name.padEnd(8)} ${spread(results.map(({ seconds }) => seconds))} s, ${spread(results.map((each) => each.processor_seconds))} s of processors, ${Math.max(...results.map((each) => each.peak_rss_mb))} MB\n`;
    process.stdout.write(
      `\n${task}\n${line('selm', ours)}${line('lm_eval', theirs)}  selm is ${ratios('seconds')} times as fast, ${ratios('processor_seconds')} by processor time; log-likelihoods differ by ${difference(ours[0], theirs[0]).toExponential(1)}\n`,
    );
  }
}

function difference(ours: Result | undefined, theirs: Result | undefined): number {
  return Math.max(...(ours?.first ?? []).map((value, i) => Math.abs(value - (theirs?.first[i] ?? Number.NaN))));
}

function spread(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return [sorted[0], median, sorted.at(-1)].map((value) => (value ?? Number.NaN).toFixed(2)).join(' / ');
}
