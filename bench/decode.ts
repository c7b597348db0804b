/**
 * @file One greedy sequence against llama.cpp on the same weights (a bf16 GGUF, or fp32), in turns, a process each; and the time that
 * `selm generate` takes from its start to the first token. Ratios are taken within one turn, where both met the same machine.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { exportGguf } from '../src/export/export.ts';
import { randomKey, uniformAt } from '../src/random.ts';
import { here, measureAs, spread } from './dpo.ts';
import { saveResult } from './results.ts';

interface Result {
  ids: number[];
  first_token_s: number;
  tokens_per_s: number;
  peak_rss_mb: number;
}

/** Seconds from the start of a `selm generate` that makes one token until it is printed. */
async function firstTokenSeconds(model: string, threads: string): Promise<number> {
  const command = join(here, '..', 'bin', 'selm');
  const options = ['generate', model, '--text', '--prompt', 'Once upon a time', '--max-new-tokens', '1'];
  const begin = performance.now();
  const child = spawn(process.execPath, [command, ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SELM_THREADS: threads },
  });
  let printed = Number.NaN;
  child.stdout.once('data', () => {
    printed = performance.now();
  });
  const [status] = await once(child, 'close');
  if (status !== 0) throw new Error(`selm generate ended with ${status}`);
  return (printed - begin) / 1000;
}

/** The model as llama.cpp reads it, in the folder of benchmarks; made once. */
async function ggufOf(model: string, type: 'bf16' | 'f32', folder: string): Promise<string> {
  const out = join(folder, `${basename(model)}-${type}-gguf`);
  return existsSync(out) ? join(out, `model-${type}.gguf`) : (await exportGguf(model, out, type)).ggufPath;
}

/** The command. Options: --model FOLDER, --dtype, --prompt-tokens, --tokens, --threads, --repeats, --save NAME. */
export async function benchDecode(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string' },
      dtype: { type: 'string', default: 'bfloat16' },
      'prompt-tokens': { type: 'string', default: '32' },
      tokens: { type: 'string', default: '128' },
      threads: { type: 'string', default: '2' },
      repeats: { type: 'string', default: '3' },
      save: { type: 'string' },
    },
  });
  if (values.model === undefined)
    throw new Error('Give --model FOLDER: a model with a tokenizer, which llama.cpp needs');
  const model = resolve(values.model);
  const folder = join(homedir(), '.cache', 'selm', 'bench-data');
  mkdirSync(folder, { recursive: true });
  const gguf = await ggufOf(model, values.dtype === 'bfloat16' ? 'bf16' : 'f32', folder);
  const promptPath = join(folder, 'decode-prompt.json');
  const promptIds = Array.from({ length: Number(values['prompt-tokens']) }, (_, i) =>
    Math.floor(20 + 30_000 * uniformAt(randomKey(0, 'decode'), i)),
  );
  writeFileSync(promptPath, JSON.stringify(promptIds));
  const ours: Result[] = [];
  const theirs: Result[] = [];
  const commands: number[] = [];
  for (let turn = 0; turn < Number(values.repeats); turn++) {
    const own = ['--import', 'tsx', join(here, 'decode-run.ts'), model, promptPath, values.tokens, values.dtype];
    ours.push(measureAs<Result>(process.execPath, [...own, values.threads]));
    const peer = [join(here, 'peers', 'llama_cpp.mjs'), gguf, promptPath, values.tokens, values.threads];
    theirs.push(measureAs<Result>(process.execPath, peer));
    commands.push(await firstTokenSeconds(model, values.threads));
  }
  const line = (name: string, results: Result[]): string =>
    `  ${name.padEnd(12)} ${spread(
      results.map((each) => each.tokens_per_s),
      1,
    )} tokens/s, first token after ${spread(results.map((each) => each.first_token_s))} s, ${Math.max(...results.map((each) => each.peak_rss_mb))} MB`;
  const ratios = ours.map((each, turn) => each.tokens_per_s / (theirs[turn]?.tokens_per_s ?? Number.NaN));
  const [mine, other] = [ours[0]?.ids ?? [], theirs[0]?.ids ?? []];
  const different = mine.findIndex((id, i) => id !== other[i]);
  process.stdout.write(
    [
      `${cpus().length} x ${cpus()[0]?.model}; ${basename(model)}, ${values.dtype}, ${values.threads} threads, one greedy sequence of ${values.tokens} tokens after ${values['prompt-tokens']}; numbers: minimum / median / maximum of ${values.repeats}`,
      line('selm', ours),
      line('llama.cpp', theirs),
      `    selm is ${spread(ratios)} times as fast; ${different < 0 ? 'all' : `the first ${different}`} tokens are the same`,
      `  selm generate, from its start to the first token: ${spread(commands)} s`,
      '',
    ].join('\n'),
  );
  if (values.save !== undefined) {
    const settings = { ...values, model: basename(model) };
    const withoutIds = (results: Result[]): Omit<Result, 'ids'>[] => results.map(({ ids: _, ...rest }) => rest);
    const turns = { selm: withoutIds(ours), 'llama.cpp': withoutIds(theirs), commandSeconds: commands };
    saveResult(`${values.save}-${values.dtype}`, {
      settings,
      sameTokens: different < 0 ? mine.length : different,
      turns,
    });
  }
}
