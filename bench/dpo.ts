/**
 * @file DPO training against TRL, in turns: ours, then every configuration of the peer, `--repeats` times. Ratios are
 * taken within one turn, where both met the same machine; they are printed as minimum, median and maximum.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { cpus, homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { saveResult } from './results.ts';
import { writeUltraFeedback } from './ultrafeedback.ts';

/** What one process measured. */
export interface Result {
  losses: number[];
  pairs_per_s: number;
  pairs_per_s_all: number;
  /** Processor time of all threads. */
  processor_s?: number;
  /** Of ours only: useful operations a second (dpo-run.ts counts them) as a share of a large product's. */
  share_of_peak?: number;
  peak_gflop_per_s?: number;
  peak_tensor_mb?: number;
  peak_rss_mb: number;
}

export const here = dirname(fileURLToPath(import.meta.url));
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'selm');
export const python = join(cache, 'peers', 'bin', 'python');
const data = join(cache, 'bench-data');

function run(command: string, args: string[], show: 'output' | 'nothing' = 'nothing'): string {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', show === 'output' ? 'inherit' : 'pipe'],
  });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stderr ?? ''}`);
  return stdout;
}

/** Runs a process whose last line is what it measured, as JSON. */
export function measureAs<R>(command: string, args: string[]): R {
  const line = run(command, args).trim().split('\n').at(-1) ?? '';
  return JSON.parse(line) as R;
}

export const measure = (command: string, args: string[]): Result => measureAs<Result>(command, args);

/** The peer's environment and the made models, in the user's cache folder. */
export function prepare(model: string): { modelPath: string; dataPath: string } {
  if (!existsSync(python)) {
    process.stderr.write(`Making the peer's Python environment in ${dirname(dirname(python))} (about 5 GB)\n`);
    run('python3', ['-m', 'venv', join(cache, 'peers')], 'output');
    run(python, ['-m', 'pip', 'install', '-q', '-r', join(here, 'peers', 'requirements.txt')], 'output');
  }
  mkdirSync(data, { recursive: true });
  const modelPath = join(data, model);
  const dataPath = join(data, 'pairs.jsonl');
  if (!existsSync(modelPath)) run(python, [join(here, 'peers', 'make_model.py'), model, modelPath]);
  if (!existsSync(dataPath)) run(python, [join(here, 'peers', 'make_model.py'), 'pairs', dataPath, '256']);
  return { modelPath, dataPath };
}

/** Minimum, median and maximum. */
export function spread(values: number[], digits = 2): string {
  const sorted = [...values].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return [sorted[0], median, sorted.at(-1)].map((value) => (value ?? Number.NaN).toFixed(digits)).join(' / ');
}

/** Largest relative difference of the losses, step by step. */
function lossDifference(a: Result, b: Result): number {
  return Math.max(...a.losses.map((loss, i) => Math.abs(loss - (b.losses[i] ?? Number.NaN)) / Math.abs(loss)));
}

/**
 * The command. Options: --dtype, --model 15m|110m|FOLDER, --data FILE (pairs) or ultrafeedback, --steps, --batch, --threads,
 * --repeats, --tokens (micro-batch), --states (ours: float32|bfloat16), --peers (the one of that name, or those whose name begins so), --save NAME.
 */
export async function benchDpo(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      dtype: { type: 'string', default: 'both' },
      model: { type: 'string', default: '15m' },
      steps: { type: 'string', default: '8' },
      batch: { type: 'string', default: '8' },
      threads: { type: 'string', default: '2' },
      repeats: { type: 'string', default: '3' },
      tokens: { type: 'string', default: '2048' },
      states: { type: 'string', default: 'float32' },
      data: { type: 'string' },
      peers: { type: 'string', default: 'TRL' },
      save: { type: 'string' },
    },
  });
  const isFolder = existsSync(join(values.model, 'config.json'));
  const prepared = prepare(isFolder ? '15m' : values.model);
  const modelPath = isFolder ? values.model : prepared.modelPath;
  const dataPath =
    values.data === 'ultrafeedback' ? join(data, 'ultrafeedback.jsonl') : (values.data ?? prepared.dataPath);
  if (values.data === 'ultrafeedback') writeUltraFeedback(dataPath, Number(values.steps) * Number(values.batch));
  const allPeers: [string, string[]][] = [
    ['TRL tuned', ['--tuned']],
    ['TRL tuned, precomputed', ['--tuned', '--precompute']],
    ['TRL as installed', []],
  ];
  const named = allPeers.filter(([name]) => name === values.peers);
  const peers = named.length > 0 ? named : allPeers.filter(([name]) => name.startsWith(values.peers));
  process.stdout.write(
    `${cpus().length} x ${cpus()[0]?.model}; ${values.model}, ${values.steps} steps of ${values.batch} pairs; numbers: minimum / median / maximum of ${values.repeats}\n`,
  );
  for (const dtype of values.dtype === 'both' ? ['float32', 'bfloat16'] : [values.dtype]) {
    const common = [modelPath, dataPath, values.steps, values.batch, dtype, values.threads];
    const own = [...common, values.tokens, 'full', values.states];
    const ours: Result[] = [];
    const theirs = new Map<string, Result[]>(peers.map(([name]) => [name, []]));
    for (let turn = 0; turn < Number(values.repeats); turn++) {
      ours.push(measure(process.execPath, ['--import', 'tsx', join(here, 'dpo-run.ts'), ...own]));
      for (const [name, flags] of peers) {
        theirs.get(name)?.push(measure(python, [join(here, 'peers', 'trl_dpo.py'), ...common, ...flags]));
      }
    }
    const line = (name: string, results: Result[]): string =>
      `  ${name.padEnd(24)} ${spread(results.map((each) => each.pairs_per_s_all))} pairs/s in all, ${spread(results.map((each) => each.pairs_per_s))} in training, ${Math.max(...results.map((each) => each.peak_rss_mb))} MB`;
    const share = spread(
      ours.map((each) => 100 * (each.share_of_peak ?? Number.NaN)),
      0,
    );
    process.stdout.write(`\n${dtype}\n${line('selm', ours)}, ${share} % of a product of 4,096^3\n`);
    if (values.save !== undefined) {
      const { model, steps, batch, threads, tokens, states } = values;
      const settings = {
        model: basename(model),
        data: basename(dataPath),
        steps,
        batch,
        threads,
        tokens,
        dtype,
        states,
      };
      saveResult(`${values.save}-${dtype}`, { settings, turns: { selm: ours, ...Object.fromEntries(theirs) } });
    }
    for (const [name, results] of theirs) {
      const ratios = results.map((each, turn) => (ours[turn]?.pairs_per_s_all ?? Number.NaN) / each.pairs_per_s_all);
      const memory = results.map((each, turn) => (ours[turn]?.peak_rss_mb ?? Number.NaN) / each.peak_rss_mb);
      const first = results[0];
      const difference = first === undefined || ours[0] === undefined ? Number.NaN : lossDifference(ours[0], first);
      process.stdout.write(
        `${line(name, results)}\n    selm is ${spread(ratios)} times as fast, with ${spread(memory)} of the memory; losses differ by ${difference.toExponential(1)} at most\n`,
      );
    }
  }
}
