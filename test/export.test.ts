/**
 * @file Exported models in llama.cpp (node-llama-cpp's own binary, a process of its own): it decodes greedily the tokens
 * that we do, and reads texts as the same ids. Architectures are checked on the small random checkpoints.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { llamaCppModel } from '../src/export/architecture.ts';
import { exportGguf, ggufTensors } from '../src/export/export.ts';
import { type GgufTensorType, type GgufValue, writeGguf } from '../src/export/gguf.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { writeAdapterFiles } from '../src/model/adapter/adapter.ts';
import { initialAdapter } from '../src/model/adapter/lora.ts';
import { loadModel } from '../src/model/load.ts';
import { readModelConfig } from '../src/model/read-config.ts';
import { writeModelFiles } from '../src/model/save.ts';
import { loadTokenizer } from '../src/text/tokenizer/tokenizer.ts';
import { scope, tensorFrom, toFloat32Array } from '../src/torch/tensor.ts';
import { type Decoded, greedy } from './support/greedy.ts';
import { smallConfig, smallWeights } from './support/small-model.ts';

const stories = join(packageRoot, 'assets', 'stories260K');
const fixtures = join(packageRoot, 'test', 'fixtures', 'models');
const TEXTS = ['Once upon a time, Lily', '  two  spaces', 'naïve Ünïcode 日本 \n tab\t', '</s> x'];

interface Task {
  gguf: string;
  prompt: readonly number[];
  count: number;
  texts: readonly string[];
}
interface Answer extends Decoded {
  texts: number[][];
}

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'selm-export-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What llama.cpp makes of each task. */
function llamaCpp(tasks: readonly Task[]): Answer[] {
  const script = join(packageRoot, 'test', 'support', 'llama-cpp.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
    input: JSON.stringify(tasks),
    encoding: 'utf8',
    cwd: packageRoot,
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as Answer[];
}

describe('stories260K in llama.cpp', () => {
  const types: GgufTensorType[] = ['f32', 'f16', 'bf16', 'q8_0'];
  let answers: Answer[] = [];
  let ours: Decoded = { ids: [], logProb: 0 };
  beforeAll(async () => {
    const tasks: Task[] = [];
    for (const type of types) {
      const { ggufPath } = await exportGguf(stories, join(folder, type), type);
      tasks.push({ gguf: ggufPath, prompt: [1], count: 64, texts: TEXTS });
    }
    answers = llamaCpp(tasks);
    ours = await greedy(stories, [1], 64);
  });

  // q8_0 rounds weights to 8 bits; that its 64 tokens are the same was seen, and is this model's good nature.
  it.each(types)('%s decodes greedily the 64 tokens that we do', (type) => {
    expect(answers[types.indexOf(type)]?.ids).toEqual(ours.ids);
  });

  // fp32 keeps every weight; fp16 rounds them by 2^-11, q8_0 by 1/254 of the largest of 32: seen are 4e-5, 0.002, 0.08.
  it.each([
    ['f32', 1e-3],
    ['f16', 0.02],
    ['q8_0', 0.5],
  ] as const)('%s gives them our log-probability within %d nats', (type, tolerance) => {
    const difference = Math.abs((answers[types.indexOf(type)]?.logProb ?? Number.NaN) - ours.logProb);
    expect(difference).toBeLessThan(tolerance);
  });

  it('reads texts as the ids of its tokenizer.json', () => {
    const tokenizer = loadTokenizer(stories);
    for (const answer of answers) expect(answer.texts).toEqual(tokenizer.encodeBatch(TEXTS));
  });

  it('makes a Modelfile that names the file and what ends an answer, and says why there is no TEMPLATE', () => {
    expect(readFileSync(join(folder, 'q8_0', 'Modelfile'), 'utf8')).toMatch(
      /^FROM \.\/model-q8_0\.gguf\nPARAMETER stop "<\/s>"\n# No TEMPLATE: the chat template .* no fixed frame/,
    );
  });
});

/** A checkpoint of the fixtures, with changes to its config.json. */
function checkpoint(name: string, changes: Record<string, unknown>): string {
  const directory = mkdtempSync(join(folder, `${name}-`));
  cpSync(join(fixtures, name), directory, { recursive: true });
  const config = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')) as Record<string, unknown>;
  writeFileSync(join(directory, 'config.json'), JSON.stringify({ ...config, ...changes }));
  return directory;
}

/** The weights in fp32, with a vocabulary of made-up texts: the fixtures' own has no bytes, so it is not exported. */
function exportWeights(directory: string): string {
  const model = loadModel(directory);
  const target = llamaCppModel(model.config);
  const ids = Array.from({ length: model.config.vocabularySize }, (_, id) => id);
  const metadata = new Map<string, GgufValue>([
    ...target.metadata,
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'gpt-2' }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: ids.map((id) => `t${id}`) }],
    ['tokenizer.ggml.merges', { type: 'strings', value: ['t 1'] }],
    ['tokenizer.ggml.token_type', { type: 'int32s', value: ids.map(() => 1) }],
  ]);
  const path = join(directory, 'model.gguf');
  writeGguf(path, { metadata, tensors: ggufTensors(model, target, 'f32') });
  model.dispose();
  return path;
}

/** Without a window, since llama.cpp knows none of these families. */
const everything = { sliding_window: null };
const cases: [name: string, changes: Record<string, unknown>][] = [
  ['llama2', {}],
  ['llama3', {}],
  ['biases', {}],
  ['wide-heads', {}],
  ['smollm2', {}],
  ['mistral', everything],
  ['qwen2', {}],
  ['qwen3', {}],
  ['phi3', everything],
  ['olmo2', {}],
  // With the scale of attention that llama.cpp takes.
  ['gemma2', { query_pre_attn_scalar: 8 }],
  ['gemma3', { sliding_window_pattern: 6 }],
];

/** A small random Llama with the tokenizer of a rendering fixture, which has the structure of a known model's. */
function randomModel(name: string): string {
  const directory = mkdtempSync(join(folder, `${name}-`));
  const base = join(packageRoot, 'test', 'fixtures', 'rendering', name);
  const { vocabularySize } = loadTokenizer(base);
  // Ids that the tokenizer does not have, as in most models.
  const config = smallConfig({ vocab_size: vocabularySize + 7 });
  writeModelFiles(directory, { base, raw: config.raw, weights: smallWeights(config), dtype: 'float32' });
  return directory;
}

it('llama.cpp reads texts as the tokenizers of Zephyr, Llama 3 and Phi-3 do, special tokens in them too', async () => {
  const texts = [
    ...TEXTS,
    "I'm sure it's 12345 o'clock,   isn't it?\n\n  Yes!!\r\n",
    '<|user|>\nHello</s>\n<|assistant|>\nThere',
    '<|start_header_id|>user<|end_header_id|>\n\nHello there<|eot_id|>',
    '<|user|>\nWhat is it<|end|>\n<|assistant|>\n',
  ];
  const models = ['zephyr', 'llama-3', 'phi-3'].map((name) => ({ name, directory: randomModel(name) }));
  const tasks: Task[] = [];
  for (const { name, directory } of models) {
    const { ggufPath } = await exportGguf(directory, join(folder, `gguf-${name}`), 'f32');
    tasks.push({ gguf: ggufPath, prompt: [1], count: 1, texts });
  }
  const answers = llamaCpp(tasks);
  for (const [i, { name, directory }] of models.entries()) {
    // llama.cpp takes spaces after </s> away in every Phi-3; this one's tokenizer does not.
    const shown = texts.flatMap((text, at) => (name === 'phi-3' && text.includes('</s>') ? [] : [at]));
    const theirs = shown.map((at) => answers[i]?.texts[at]);
    expect(theirs, name).toEqual(loadTokenizer(directory).encodeBatch(shown.map((at) => texts[at] ?? '')));
  }
});

it('a folder that is there, and a tokenizer without bytes, are refused before anything is written', async () => {
  await expect(exportGguf(stories, folder, 'f16')).rejects.toThrow('it already exists');
  const out = join(folder, 'none');
  await expect(exportGguf(join(fixtures, 'llama2'), out, 'f16')).rejects.toThrow(
    'tokenizer.json to GGUF: it has no byte tokens, without which llama.cpp cannot read every text',
  );
  expect(existsSync(out)).toBe(false);
});

it('selm export writes the folder and says what is in it', () => {
  const launcher = join(packageRoot, 'bin', 'selm');
  const args = ['export', stories, 'by-command', '--to', 'gguf', '--type', 'q8_0'];
  const { status, stdout } = spawnSync(process.execPath, [launcher, ...args], { encoding: 'utf8', cwd: folder });
  expect(status).toBe(0);
  expect(stdout).toMatch(
    /by-command\/model-q8_0\.gguf, 330\.\d KB\n.*Modelfile\nContext {2}up to 512 tokens\nTypes {4}5 matrices are f16/,
  );
  expect(readFileSync(join(folder, 'by-command', 'model-q8_0.gguf')).subarray(0, 8)).toEqual(
    Buffer.from('GGUF\x03\0\0\0'),
  );
  expect(existsSync(join(folder, 'by-command', 'Modelfile'))).toBe(true);
});

it('an adapter is exported merged into its base', async () => {
  const base = loadModel(stories);
  const settings = { rank: 4, alpha: 64, rankStabilised: false, targets: 'all-linear' } as const;
  const directory = mkdtempSync(join(folder, 'adapter-'));
  scope('adapter', () => {
    const fresh = initialAdapter(base.config, { settings: settings, seed: 1 });
    // A fresh adapter changes nothing: take a multiple of A's first numbers as B.
    const factors = new Map(
      [...fresh.factors].map(([name, { a_RI, b_OR }]) => {
        const values = toFloat32Array(a_RI).slice(0, b_OR.size);
        const [outputs = 0, rank = 0] = b_OR.shape;
        const padded = Float32Array.from({ length: outputs * rank }, (_, i) => 0.2 * (values[i % values.length] ?? 0));
        return [name, { a_RI, b_OR: tensorFrom(padded, b_OR.shape, 'float32') }];
      }),
    );
    writeAdapterFiles(directory, { adapter: { ...fresh, factors }, config: base.config, base: stories });
  });
  base.dispose();
  const { ggufPath } = await exportGguf(directory, join(folder, 'merged'), 'f32');
  const [answer] = llamaCpp([{ gguf: ggufPath, prompt: [1], count: 32, texts: [] }]);
  const [adapted, plain] = [await greedy(directory, [1], 32), await greedy(stories, [1], 32)];
  expect(answer?.ids).toEqual(adapted.ids);
  expect(adapted.ids).not.toEqual(plain.ids);
});

/** A random Gemma 3 deep enough that one layer sees everything, with another rope than those with a window. */
function deepGemma(): string {
  const directory = checkpoint('gemma3', { num_hidden_layers: 7, sliding_window_pattern: 6 });
  const config = readModelConfig(directory);
  const weights = smallWeights(config);
  writeModelFiles(directory, { base: directory, raw: config.raw, weights, dtype: 'float32' });
  return directory;
}

it('checkpoints of every exported family decode greedily in llama.cpp as here', async () => {
  const tasks: Task[] = [];
  const expected = new Map<string, Decoded>();
  const models = [
    ...cases.map(([name, changes]) => [name, checkpoint(name, changes)] as const),
    ['deep', deepGemma()] as const,
  ];
  for (const [name, directory] of models) {
    const { greedy: known } = JSON.parse(readFileSync(join(directory, 'expected.json'), 'utf8')) as {
      greedy: { prompt: number[]; ids: number[] };
    };
    const count = 16;
    tasks.push({ gguf: exportWeights(directory), prompt: known.prompt, count, texts: [] });
    expected.set(name, await greedy(directory, known.prompt, count));
  }
  const answers = llamaCpp(tasks);

  for (const [i, [name]] of models.entries()) {
    const [theirs, ours] = [answers[i], expected.get(name)];
    expect(theirs?.ids, name).toEqual(ours?.ids);
    expect(Math.abs((theirs?.logProb ?? Number.NaN) - (ours?.logProb ?? 0)), name).toBeLessThan(1e-3);
  }
});
