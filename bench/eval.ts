/**
 * @file Benchmarks with examples (likelihoods; GSM8K's answers) against lm-evaluation-harness, in turns: same model, rows, examples, type and threads.
 * Ratios are taken within one turn, where both met the same machine. The harness runs at the better of two batch sizes.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, homedir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { here } from './dpo.ts';
import { saveResult } from './results.ts';

interface Result {
  seconds: number;
  /** Of all threads: what can be compared on a machine that others use. */
  processor_seconds: number;
  /** Of the first item, log-likelihoods or the answer: both must mean the same. */
  first: number[] | string;
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

/**
 * The command. Options: --model FOLDER, --data FOLDER (default: the fixtures'), --tasks, --items, --dtype float32|bfloat16|both (of
 * both programs), --threads, --repeats, --tokens (ours at once), --batches (the harness's, of which the fastest counts), --save NAME.
 */
export function benchEval(args: string[]): void {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string' },
      data: { type: 'string' },
      tasks: { type: 'string', default: 'arc_challenge,hellaswag,openbookqa' },
      items: { type: 'string', default: '16' },
      dtype: { type: 'string', default: 'both' },
      threads: { type: 'string', default: '2' },
      repeats: { type: 'string', default: '3' },
      tokens: { type: 'string', default: '4096' },
      batches: { type: 'string', default: '1,4' },
      save: { type: 'string' },
    },
  });
  const { items, threads, repeats, tokens, batches } = values;
  const model = prepare(values.model);
  const data = values.data ?? join(here, '..', 'test', 'fixtures', 'evaluate', 'benchmarks', 'data');
  process.stdout.write(
    `${cpus().length} x ${cpus()[0]?.model}; ${basename(model)}, ${threads} threads, ${items} items; numbers: minimum / median / maximum of ${repeats}\n`,
  );
  for (const dtype of values.dtype === 'both' ? ['float32', 'bfloat16'] : [values.dtype]) {
    for (const task of values.tasks.split(',')) {
      const turns = inTurns([model, data, task, items, dtype, threads], {
        repeats: Number(repeats),
        tokens,
        batches: batches.split(','),
      });
      process.stdout.write(`\n${task}, ${dtype}\n${described(turns)}`);
      if (values.save !== undefined) {
        const settings = { model: basename(model), task, dtype, items, threads, tokens, batches };
        saveResult(`${values.save}-${task}-${dtype}`, { settings, turns });
      }
    }
  }
}

interface Turn {
  selm: Result;
  /** At its fastest batch size. */
  lm_eval: Result & { batch: string };
}

/** Ours, then the harness at every batch size, again and again; every other turn the other way round. */
function inTurns(
  common: readonly string[],
  { repeats, tokens, batches }: { repeats: number; tokens: string; batches: readonly string[] },
): Turn[] {
  const ours = (): Result =>
    measure(process.execPath, ['--import', 'tsx', join(here, 'eval-run.ts'), ...common, tokens]);
  const theirs = (): Turn['lm_eval'] =>
    batches
      .map((batch) => ({ ...measure(python, [join(here, 'peers', 'lm_eval_tasks.py'), ...common, batch]), batch }))
      .reduce((best, each) => (each.seconds < best.seconds ? each : best));
  return Array.from({ length: repeats }, (_, turn) => {
    if (turn % 2 === 0) return { selm: ours(), lm_eval: theirs() };
    const lm_eval = theirs();
    return { selm: ours(), lm_eval };
  });
}

function described(turns: readonly Turn[]): string {
  const line = (name: string, results: readonly Result[]): string =>
    `  ${name.padEnd(8)} ${spread(results.map(({ seconds }) => seconds))} s, ${spread(results.map((each) => each.processor_seconds))} s of processors, ${Math.max(...results.map((each) => each.peak_rss_mb))} MB\n`;
  const ratios = (of: 'seconds' | 'processor_seconds'): string =>
    spread(turns.map(({ selm, lm_eval }) => lm_eval[of] / selm[of]));
  const [selm, lmEval] = [turns.map((turn) => turn.selm), turns.map((turn) => turn.lm_eval)];
  const batches = [...new Set(lmEval.map(({ batch }) => batch))].join(' and ');
  return `${line('selm', selm)}${line('lm_eval', lmEval)}  selm is ${ratios('seconds')} times as fast as lm_eval at batch size ${batches}, ${ratios('processor_seconds')} by processor time; ${sameness(selm[0], lmEval[0])}\n`;
}

/** Whether both meant the same by the first item: its log-likelihoods, or the answer. */
function sameness(ours: Result | undefined, theirs: Result | undefined): string {
  if (typeof ours?.first === 'string') {
    return `the first answers are ${ours.first === theirs?.first ? 'the same' : 'different'}`;
  }
  const differences = (ours?.first ?? []).map((value, i) => Math.abs(value - Number(theirs?.first[i] ?? Number.NaN)));
  return `log-likelihoods differ by ${Math.max(...differences).toExponential(1)}`;
}

function spread(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return [sorted[0], median, sorted.at(-1)].map((value) => (value ?? Number.NaN).toFixed(2)).join(' / ');
}
