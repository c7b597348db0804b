/**
 * @file PairRM's encoder against transformers' DeBERTa-v2, in turns: random weights of its shape, triples of candidates in all
 * six orders, as long as UltraFeedback's rows are. Ratios are taken within one turn, where both met the same machine.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeTriples } from './pairrm-workload.ts';
import { saveResult } from './results.ts';

interface Result {
  triples_per_s: number;
  seconds: number;
  /** Processor time of what was measured. */
  cpu_seconds: number;
  peak_rss_mb: number;
  /** How the peer found it fastest to batch. */
  batching?: string;
}

const here = dirname(fileURLToPath(import.meta.url));
const python = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'selm', 'peers', 'bin', 'python');

function measure(command: string, args: string[]): Result {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Result;
}

function spread(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return [sorted[0], median, sorted.at(-1)].map((value) => (value ?? Number.NaN).toFixed(3)).join(' / ');
}

/** The command. Options: --dtype, --triples, --layers, --threads, --repeats, --seed, --save. */
export function benchPairRm(args: string[]): void {
  const { values } = parseArgs({
    args,
    options: {
      dtype: { type: 'string', default: 'both' },
      triples: { type: 'string', default: '4' },
      layers: { type: 'string', default: '24' },
      threads: { type: 'string', default: '2' },
      repeats: { type: 'string', default: '3' },
      seed: { type: 'string', default: '1' },
      save: { type: 'string' },
    },
  });
  if (!existsSync(python)) throw new Error(`No peer in ${python}: npm run bench -- dpo makes its environment`);
  const { triples, layers, threads, repeats, save } = values;
  const { path, tokens, longest } = writeTriples(Number(triples), Number(values.seed));
  process.stdout.write(
    `${cpus().length} x ${cpus()[0]?.model}; ${triples} triples, ${tokens} tokens in all orders, at most ${longest} a sequence, ${layers} blocks, ${threads} threads; numbers: minimum / median / maximum of ${repeats}\n`,
  );
  const found: Record<string, { selm: Result[]; transformers: Result[] }> = {};
  for (const dtype of values.dtype === 'both' ? ['float32', 'bfloat16'] : [values.dtype]) {
    const ours: Result[] = [];
    const theirs: Result[] = [];
    for (let turn = 0; turn < Number(repeats); turn++) {
      const run = ['--import', 'tsx', join(here, 'pairrm-run.ts'), path, layers, dtype, threads];
      ours.push(measure(process.execPath, run));
      const named = Object.entries({ workload: path, layers, dtype, threads }).flatMap(([key, value]) => [
        `--${key}`,
        value,
      ]);
      theirs.push(measure(python, [join(here, 'peers', 'hf_pairrm.py'), ...named, '--tuned']));
    }
    found[dtype] = { selm: ours, transformers: theirs };
    report(dtype, ours, theirs);
  }
  if (save !== undefined)
    saveResult(save, { triples: Number(triples), tokens, layers: Number(layers), threads, results: found });
}

function report(dtype: string, ours: readonly Result[], theirs: readonly Result[]): void {
  const line = (name: string, results: readonly Result[]): string =>
    `  ${name.padEnd(20)} ${spread(results.map((each) => each.triples_per_s))} triples/s, ${Math.max(...results.map((each) => each.peak_rss_mb))} MB\n`;
  const ratio = (name: 'seconds' | 'cpu_seconds'): string =>
    spread(ours.map((each, turn) => (theirs[turn]?.[name] ?? Number.NaN) / each[name]));
  const batching = theirs.map((each) => each.batching).join('; ');
  process.stdout.write(
    `\n${dtype}\n${line('selm', ours)}${line('transformers tuned', theirs)}    ${batching}\n    selm is ${ratio('seconds')} times as fast, by processor time ${ratio('cpu_seconds')}\n`,
  );
}
