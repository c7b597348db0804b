/**
 * @file Sampling against transformers and vLLM on the CPU, in turns: one process each, the same prompts, all responses of
 * the same length. Loading is left out and prefill counts. Ratios are taken within one turn, where all met the same machine.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, homedir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { normalAt, randomKey, uniformAt } from '../src/random.ts';
import { here, measureAs, prepare, python, spread } from './dpo.ts';
import { saveResult } from './results.ts';

/** What one process measured. */
interface Result {
  tokens: number;
  tokens_per_s: number;
  /** Processor time of all threads; absent where the peer has processes of its own. */
  processor_s?: number;
  /** Of ours only: seconds until the first token, which is the prefill of the first prompts. */
  first_token_s?: number;
  /** Of ours only: prompt tokens a second when nothing else is computed, and their share of a large product's rate. */
  prefill_tokens_per_s?: number;
  prefill_share_of_peak?: number;
  peak_gflop_per_s?: number;
  peak_rss_mb: number;
}

export const vllmPython = join(
  process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
  ...['selm', 'peers-vllm', 'bin', 'python'],
);

/** Prompts of random ids below `vocabulary`, of 16 to 512 tokens as chat prompts are spread: about 110 in the mean. */
function writePrompts(path: string, count: number, vocabulary: number): number {
  let tokens = 0;
  const lines = Array.from({ length: count }, (_, i) => {
    const length = Math.min(512, Math.max(16, Math.round(Math.exp(4.6 + 0.8 * normalAt(randomKey(0, 'length'), i)))));
    tokens += length;
    // Ids below 20 are special in many vocabularies.
    const ids = Array.from({ length }, (_, t) => 20 + Math.floor(uniformAt(randomKey(0, i), t) * (vocabulary - 20)));
    return JSON.stringify({ ids });
  });
  writeFileSync(path, `${lines.join('\n')}\n`);
  return tokens;
}

type Peer = [name: string, run: (common: readonly string[]) => Result];

/** All peers that are installed, or those whose name begins with `wanted`. */
function peersOf(dtype: string, batch: string, wanted: string): Peer[] {
  const script = (name: string): string => join(here, 'peers', name);
  const hf = (size: string): Peer => [
    `transformers, batch ${size}`,
    ([model = '', prompts = '', tokens = '', samples = '', , type = '', threads = '']) =>
      measureAs<Result>(python, [script('hf_generate.py'), model, prompts, tokens, samples, size, type, threads]),
  ];
  const vllm: Peer = ['vLLM', (common) => measureAs<Result>(vllmPython, [script('vllm_generate.py'), ...common])];
  const all = [
    ...(existsSync(python) ? [...new Set(['16', batch])].map(hf) : []),
    ...(existsSync(vllmPython) && dtype === 'bfloat16' ? [vllm] : []),
  ];
  return wanted === 'all' ? all : all.filter(([name]) => name.startsWith(wanted));
}

/**
 * The command. Options: --model, --dtype, --prompts, --tokens, --samples, --batch, --threads, --repeats, --peers none or the
 * beginning of their names, --save NAME.
 */
export function benchSample(args: string[]): void {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string', default: 'smollm2' },
      dtype: { type: 'string', default: 'both' },
      prompts: { type: 'string', default: '64' },
      tokens: { type: 'string', default: '128' },
      samples: { type: 'string', default: '1' },
      batch: { type: 'string', default: '64' },
      threads: { type: 'string', default: '2' },
      repeats: { type: 'string', default: '3' },
      peers: { type: 'string', default: 'all' },
      save: { type: 'string' },
    },
  });
  const isFolder = existsSync(join(values.model, 'config.json'));
  const modelPath = isFolder ? values.model : prepare(values.model).modelPath;
  const folder = join(homedir(), '.cache', 'selm', 'bench-data');
  mkdirSync(folder, { recursive: true });
  const promptsPath = join(folder, 'sample-prompts.jsonl');
  const promptTokens = writePrompts(promptsPath, Number(values.prompts), 32_000);
  process.stdout.write(
    `${cpus().length} x ${cpus()[0]?.model}; ${basename(modelPath)}, ${values.prompts} prompts of ${promptTokens} tokens in all, ${values.samples} x ${values.tokens} tokens each; loading excluded, prefill included; numbers: minimum / median / maximum of ${values.repeats}\n`,
  );
  for (const dtype of values.dtype === 'both' ? ['float32', 'bfloat16'] : [values.dtype]) {
    const common = [modelPath, promptsPath, values.tokens, values.samples, values.batch, dtype, values.threads];
    const own = ['--import', 'tsx', join(here, 'sample-run.ts'), ...common];
    const ours: Result[] = [];
    const peers = values.peers === 'none' ? [] : peersOf(dtype, values.batch, values.peers);
    const theirs = new Map<string, Result[]>(peers.map(([name]) => [name, []]));
    for (let turn = 0; turn < Number(values.repeats); turn++) {
      ours.push(measureAs<Result>(process.execPath, own));
      for (const [name, run] of peers) theirs.get(name)?.push(run(common));
    }
    const line = (name: string, results: Result[]): string =>
      `  ${name.padEnd(24)} ${spread(
        results.map((each) => each.tokens_per_s),
        1,
      )} tokens/s, ${Math.max(...results.map((each) => each.peak_rss_mb))} MB`;
    const first = spread(ours.map((each) => each.first_token_s ?? Number.NaN));
    const share = spread(ours.map((each) => 100 * (each.prefill_share_of_peak ?? Number.NaN)));
    const prefill = spread(
      ours.map((each) => each.prefill_tokens_per_s ?? Number.NaN),
      0,
    );
    process.stdout.write(
      `\n${dtype}\n${line('selm', ours)}, first token after ${first} s\n    prefill alone: ${prefill} tokens/s, ${share} % of a product of 4,096^3\n`,
    );
    if (values.save !== undefined) {
      const { model, prompts, tokens, samples, batch, threads } = values;
      const settings = { model: basename(model), prompts, promptTokens, tokens, samples, batch, threads, dtype };
      saveResult(`${values.save}-${dtype}`, { settings, turns: { selm: ours, ...Object.fromEntries(theirs) } });
    }
    for (const [name, results] of theirs) {
      const ratios = results.map((each, turn) => (ours[turn]?.tokens_per_s ?? Number.NaN) / each.tokens_per_s);
      const work = results.map(
        (each, turn) => (each.processor_s ?? Number.NaN) / (ours[turn]?.processor_s ?? Number.NaN),
      );
      process.stdout.write(
        `${line(name, results)}\n    selm is ${spread(ratios)} times as fast; its processor time is ${spread(work)} times ours\n`,
      );
    }
  }
}
