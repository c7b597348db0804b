/**
 * @file PairRM's encoder against transformers' DeBERTa-v2, in turns: random weights of its shape, triples of candidates in all
 * six orders. Ratios are taken within one turn, where both met the same machine.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

interface Result {
  triples_per_s: number;
  peak_rss_mb: number;
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

/** The command. Options: --dtype, --triples, --tokens (a sequence), --layers, --threads, --repeats. */
export function benchPairRm(args: string[]): void {
  const { values } = parseArgs({
    args,
    options: {
      dtype: { type: 'string', default: 'both' },
      triples: { type: 'string', default: '4' },
      tokens: { type: 'string', default: '384' },
      layers: { type: 'string', default: '24' },
      threads: { type: 'string', default: '2' },
      repeats: { type: 'string', default: '3' },
    },
  });
  if (!existsSync(python)) throw new Error(`No peer in ${python}: npm run bench -- dpo makes its environment`);
  const { triples, tokens, layers, threads } = values;
  process.stdout.write(
    `${cpus().length} x ${cpus()[0]?.model}; ${triples} triples of ${tokens} tokens, ${layers} blocks; numbers: minimum / median / maximum of ${values.repeats}\n`,
  );
  for (const dtype of values.dtype === 'both' ? ['float32', 'bfloat16'] : [values.dtype]) {
    const ours: Result[] = [];
    const theirs: Result[] = [];
    for (let turn = 0; turn < Number(values.repeats); turn++) {
      const own = [triples, tokens, layers, dtype, threads];
      ours.push(measure(process.execPath, ['--import', 'tsx', join(here, 'pairrm-run.ts'), ...own]));
      const named = Object.entries({ triples, tokens, layers, dtype, threads }).flatMap(([key, value]) => [
        `--${key}`,
        value,
      ]);
      theirs.push(measure(python, [join(here, 'peers', 'hf_pairrm.py'), ...named, '--tuned']));
    }
    const line = (name: string, results: readonly Result[]): string =>
      `  ${name.padEnd(20)} ${spread(results.map((each) => each.triples_per_s))} triples/s, ${Math.max(...results.map((each) => each.peak_rss_mb))} MB\n`;
    const ratios = ours.map((each, turn) => each.triples_per_s / (theirs[turn]?.triples_per_s ?? Number.NaN));
    process.stdout.write(
      `\n${dtype}\n${line('selm', ours)}${line('transformers tuned', theirs)}    selm is ${spread(ratios)} times as fast\n`,
    );
  }
}
