/** @file Bad input: one clear error that names the file and the field, exit code 2, and nothing written or lost. */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { SelmError } from '../src/errors.ts';
import { sha256 } from '../src/files/hash.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { runRecipe } from '../src/loop/run.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { engineDirectory, readEngineRecord } from '../src/torch/native.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

let root = '';
let count = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'selm-bad-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A fresh working recipe with a model of its own, to break. */
function world(): { folder: string; model: string; recipe: string; output: string } {
  const folder = join(root, String(count++));
  const model = join(folder, 'model');
  const recipe = writeSmallRecipe(folder, { model: 'model', threads: null, iterations: 1 });
  cpSync(join(packageRoot, 'assets', 'stories260K'), model, { recursive: true });
  return { folder, model, recipe, output: join(folder, 'run') };
}

async function failure(recipe: string, output: string): Promise<SelmError> {
  try {
    await runRecipe(loadRecipe(recipe, { overrides: [`output=${output}`] }));
  } catch (error) {
    if (error instanceof SelmError) return error;
    throw error;
  }
  throw new Error('The run went through');
}

function edit(path: string, change: (value: Record<string, unknown>) => void): void {
  const value = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  change(value);
  writeFileSync(path, JSON.stringify(value));
}

/** Rewrites the JSON header of a safetensors file; the data stay. */
function editHeader(path: string, change: (header: Record<string, { data_offsets: number[] }>) => void): void {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, { data_offsets: number[] }>;
  change(header);
  const text = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([size, text, bytes.subarray(8 + length)]));
}

/** Puts another ranker into a recipe. */
function rankWith(recipe: string, ranker: Record<string, unknown>): void {
  writeFileSync(recipe, stringify({ ...parse(readFileSync(recipe, 'utf8')), ranker }));
}

const row = (value: unknown): string => `${JSON.stringify(value)}\n`;

type World = ReturnType<typeof world>;
const cases: { name: string; break: (w: World) => void; says: (string | RegExp)[] }[] = [
  {
    name: 'a model without safetensors file',
    break: ({ model }) => rmSync(join(model, 'model.safetensors')),
    says: ['model', 'safetensors'],
  },
  {
    name: 'a truncated safetensors file',
    break: ({ model }) => truncateSync(join(model, 'model.safetensors'), 500_000),
    says: ['model.safetensors'],
  },
  {
    name: 'a safetensors file whose tensors overlap',
    break: ({ model }) =>
      editHeader(join(model, 'model.safetensors'), (header) => {
        const norm = header['model.norm.weight'];
        const embedding = header['model.embed_tokens.weight'];
        if (norm !== undefined && embedding !== undefined)
          norm.data_offsets = [embedding.data_offsets[0] ?? 0, (embedding.data_offsets[0] ?? 0) + 256];
      }),
    says: ['model.safetensors', /model\.(norm|embed_tokens|layers)/],
  },
  {
    name: 'a tensor that is missing',
    break: ({ model }) =>
      edit(join(model, 'config.json'), (config) => {
        config.tie_word_embeddings = false;
      }),
    says: ['lm_head.weight'],
  },
  {
    name: 'an unknown architecture',
    break: ({ model }) =>
      edit(join(model, 'config.json'), (config) => {
        config.model_type = 'mamba';
      }),
    says: ['config.json', 'model_type', '"mamba"', 'llama'],
  },
  {
    name: 'a chat prompt for a tokenizer without chat template',
    break: ({ model, folder }) => {
      rmSync(join(model, 'chat_template.jinja'));
      writeFileSync(join(folder, 'prompts.jsonl'), row({ prompt: [{ role: 'user', content: 'Hi' }] }));
    },
    says: ['chat_template', 'tokenizer_config.json'],
  },
  {
    name: 'a tokenizer without end token',
    break: ({ model }) => {
      for (const file of ['config.json', 'generation_config.json', 'tokenizer_config.json']) {
        edit(join(model, file), (value) => {
          delete value.eos_token_id;
          delete value.eos_token;
        });
      }
    },
    says: ['eos_token'],
  },
  {
    name: 'a misspelt key',
    break: ({ recipe }) => writeFileSync(recipe, readFileSync(recipe, 'utf8').replace('learningRate', 'leaningRate')),
    says: ['leaningRate', 'learningRate'],
  },
  {
    name: 'a setting of the wrong type',
    break: ({ recipe }) =>
      writeFileSync(recipe, readFileSync(recipe, 'utf8').replace(/batchSize: 3/, 'batchSize: three')),
    says: ['training.batchSize', 'three'],
  },
  {
    name: 'a device that this machine does not have',
    break: ({ recipe }) => writeFileSync(recipe, `${readFileSync(recipe, 'utf8')}device: cuda:7\n`),
    says: ['cuda:7', 'set device to cpu'],
  },
  {
    name: 'a row without prompt',
    break: ({ folder }) => writeFileSync(join(folder, 'prompts.jsonl'), row({ prompt: 'a' }) + row({ question: 'b' })),
    says: ['prompts.jsonl:2', 'prompt'],
  },
  {
    name: 'a row whose chosen equals its rejected',
    break: ({ folder }) =>
      writeFileSync(join(folder, 'prompts.jsonl'), row({ prompt: 'a', chosen: 'x', rejected: 'x' })),
    says: ['prompts.jsonl:1', 'rejected', 'chosen equals rejected'],
  },
  {
    name: 'an empty data file',
    break: ({ folder }) => writeFileSync(join(folder, 'prompts.jsonl'), ''),
    says: ['prompts.jsonl', 'no rows'],
  },
  {
    name: 'a data file that is not there',
    break: ({ folder }) => rmSync(join(folder, 'prompts.jsonl')),
    says: ['prompts.jsonl'],
  },
  {
    name: 'a reward module that is not there',
    break: ({ folder }) => rmSync(join(folder, 'reward.ts')),
    says: ['reward.ts', 'no such file'],
  },
  {
    name: 'a reward module that exports nothing',
    break: ({ folder }) => writeFileSync(join(folder, 'reward.ts'), 'const reward = 1;\n'),
    says: ['reward.ts', 'exports no function'],
  },
  {
    name: 'a ranker directory of another architecture',
    break: ({ recipe }) => rankWith(recipe, { kind: 'pairrm', model: 'model' }),
    says: ['model as PairRM', 'LlamaForCausalLM', 'llm-blender/PairRM', 'reward-model'],
  },
  {
    name: 'a reward model without a score head',
    break: ({ recipe }) => rankWith(recipe, { kind: 'reward-model', model: 'model' }),
    says: ['reward model', 'score.weight', 'ForSequenceClassification'],
  },
  {
    name: 'a ranker directory that is not there',
    break: ({ recipe }) => rankWith(recipe, { kind: 'reward-model', model: 'nowhere' }),
    says: ['nowhere', 'there is no such folder'],
  },
];

describe('selm train refuses, with exit code 2 and nothing written:', () => {
  it.each(cases)('$name', async ({ break: spoil, says }) => {
    const here = world();
    spoil(here);
    const error = await failure(here.recipe, here.output);
    for (const text of says) expect(error.message).toMatch(text);
    expect(error.exitCode).toBe(2);
    expect(existsSync(here.output)).toBe(false);
  });
});

/** Every file of a folder with its hash. */
function contents(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => `${path} ${sha256(readFileSync(path))}`)
    .sort();
}

describe('an existing run', () => {
  it('of another configuration is refused with the difference, and left byte for byte', async () => {
    const { recipe, output } = world();
    await runRecipe(loadRecipe(recipe, { overrides: [`output=${output}`] }));
    const before = contents(output);
    const changed = loadRecipe(recipe, { overrides: [`output=${output}`, 'training.learningRate=0.001'] });
    await expect(runRecipe(changed)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/training\.learningRate.*0\.0005.*0\.001/s),
    });
    expect(contents(output)).toEqual(before);
  });

  it('that is finished is told so by running it again, and changes no weight', async () => {
    const { recipe, output } = world();
    const again = loadRecipe(recipe, { overrides: [`output=${output}`] });
    await runRecipe(again);
    const weights = sha256(readFileSync(join(output, 'iteration-1', 'model', 'model.safetensors')));
    const events: string[] = [];
    await runRecipe(again, { watch: (event) => void events.push(event.kind) });
    expect(events).not.toContain('metrics');
    expect(sha256(readFileSync(join(output, 'iteration-1', 'model', 'model.safetensors')))).toBe(weights);
  });
});

function command(args: string[], environment: Record<string, string> = {}): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, [join(packageRoot, 'bin', 'selm'), ...args], {
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  });
  return { status, stderr };
}

describe('the command', () => {
  it('prints one error and exits with 2', () => {
    const { recipe, output, model } = world();
    edit(join(model, 'config.json'), (config) => {
      config.model_type = 'mamba';
    });
    const { status, stderr } = command(['train', recipe, '--set', `output=${output}`]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/model_type is "mamba"/);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it('says how to get LibTorch when there is none', () => {
    const { recipe, output, folder } = world();
    const { status, stderr } = command(['train', recipe, '--set', `output=${output}`], {
      SELM_ENGINE: join(folder, 'nothing'),
    });
    expect(status).toBe(2);
    expect(stderr).toContain('selm engine install');
    expect(existsSync(output)).toBe(false);
  });

  it.each([
    ['another LibTorch', { libtorchVersion: '2.9.1' }, /built against LibTorch 2\.9\.1, but .* now holds 2\.15/],
    [
      'other sources',
      { sourcesSha256: '0'.repeat(64) },
      /built from other sources than those in .*`selm engine install`/,
    ],
  ])('refuses an engine that was built from %s', (_, difference, message) => {
    const { recipe, output, folder } = world();
    const engine = join(folder, 'engine');
    mkdirSync(engine);
    copyFileSync(join(engineDirectory, 'selm.node'), join(engine, 'selm.node'));
    writeFileSync(join(engine, 'engine.json'), JSON.stringify({ ...readEngineRecord(), ...difference }));
    const { status, stderr } = command(['train', recipe, '--set', `output=${output}`], { SELM_ENGINE: engine });
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(existsSync(output)).toBe(false);
  });

  const disk = join(tmpdir(), `selm-full-${process.pid}`);
  mkdirSync(disk, { recursive: true });
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk]).status === 0;
  afterAll(() => {
    if (mounted) spawnSync('umount', [disk]);
    rmSync(disk, { recursive: true, force: true });
  });
  // That it goes on to the same bytes when there is room: test/faults/run.test.ts.
  it.skipIf(!mounted)('stops on a full disk, with what it needs (skipped where tmpfs cannot be mounted)', () => {
    const { status, stderr } = command(['train', world().recipe, '--set', `output=${join(disk, 'run')}`]);
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /Cannot write ".*": the disk of ".*" is full: [\d.]+ MB needed, [\d.]+ [KM]?B free: free space/,
    );
    expect(stderr).toContain('(DISK_FULL)');
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});
