/** @file The package as a program uses it: `import ... from 'selm'`, in this repository and installed elsewhere. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  generate,
  InterruptedError,
  type LoopEvent,
  loadModel,
  RecipeError,
  type RecipeInput,
  rank,
  train,
} from 'selm';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { apiPage } from '../scripts/api-docs.ts';
import { recipeSchemaFiles } from '../scripts/recipe-schemas.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { memoryStatistics } from '../src/torch/memory.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

// Compilers and processes: seconds of work, on a busy machine a minute.
vi.setConfig({ testTimeout: 300_000 });

const root = mkdtempSync(join(tmpdir(), 'selm-library-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const recipePath = writeSmallRecipe(root, { iterations: 1, data: { train: 'prompts.jsonl', limit: 6 } });
const recipe = (name: string): RecipeInput => ({
  ...(parse(readFileSync(recipePath, 'utf8')) as RecipeInput),
  output: join(root, name),
});
const stories = join(packageRoot, 'assets', 'stories260K');

describe('train()', () => {
  it('gives its events out while it runs, and says in the end where the model is', async () => {
    const training = train(recipe('events'), { directory: root });
    const events: LoopEvent[] = [];
    for await (const event of training) events.push(event);
    const { modelPath } = await training.result;
    expect(modelPath).toBe(join(root, 'events', 'iteration-1', 'model'));
    expect(existsSync(join(modelPath, 'model.safetensors'))).toBe(true);
    expect(events.some(({ kind }) => kind === 'metrics')).toBe(true);
    expect(
      events.filter(({ kind }) => kind === 'stage-finished').map((event) => 'stage' in event && event.stage),
    ).toEqual(['sample', 'rank', 'pair', 'reference', 'train', 'explore']);
  });

  it('stops by an AbortSignal at the next safe point, and the same call goes on from there', async () => {
    const stop = new AbortController();
    const first = train(recipe('aborted'), { directory: root, signal: stop.signal });
    const read = async (): Promise<void> => {
      for await (const event of first)
        if (event.kind === 'stage-progress' && event.stage === 'sample')
          stop.abort(new InterruptedError('INTERRUPTED', 'Enough'));
    };
    await expect(read()).rejects.toThrow(InterruptedError);
    await expect(first.result).rejects.toThrow(InterruptedError);
    const again = train(recipe('aborted'), { directory: root });
    const done: number[] = [];
    for await (const event of again) {
      if (event.kind === 'stage-started' && event.stage === 'sample') done.push(event.done);
    }
    // What was sampled before the stop is kept.
    expect(done[0]).toBeGreaterThan(0);
    await again.result;
  });

  it('throws at once for a recipe that cannot be used', () => {
    const wrong = { ...recipe('wrong'), learningRate: 1 } as RecipeInput;
    expect(() => train(wrong, { directory: root })).toThrow(RecipeError);
  });
});

describe('loadModel() and generate()', () => {
  it('give the same responses, in the order of the prompts, and free the model', async () => {
    const live = memoryStatistics().liveTensors;
    const prompts = ['Lily went to the park.', { kind: 'text', text: 'Tom had a red ball.' }] as const;
    const options = { samples: 2, temperature: 1, maxNewTokens: 8, seed: 4 };
    const once: string[] = [];
    for await (const { text } of generate(stories, prompts, options)) once.push(text);
    expect(new Set(once).size).toBe(4);
    const kept: string[] = [];
    {
      using model = loadModel(stories);
      expect(model).toMatchObject({ family: 'llama', vocabularySize: 512 });
      expect(model.decode(model.encode('Lily went'))).toBe('Lily went');
      for await (const { text, sampleIndex } of model.generate(prompts, options)) kept.push(`${sampleIndex} ${text}`);
    }
    expect(kept).toEqual(once.map((text, i) => `${i % 2} ${text}`));
    for await (const _ of generate(stories, prompts, options)) break;
    expect(memoryStatistics().liveTensors).toBe(live);
  });

  it('stop by an AbortSignal', async () => {
    const read = async (): Promise<void> => {
      for await (const _ of generate(stories, ['Once'], { signal: AbortSignal.abort() }));
    };
    await expect(read()).rejects.toThrow(InterruptedError);
  });
});

describe('rank()', () => {
  it('gives a verdict a row, in order', async () => {
    const rows = [
      { prompt: 'p', responses: ['b', 'aaa', 'a'] },
      { prompt: 'q', responses: ['x', 'y'] },
    ];
    const verdicts = [];
    for await (const { order, ties } of rank(rows, { ranker: { kind: 'function', module: join(root, 'reward.ts') } }))
      verdicts.push({ order, ties });
    expect(verdicts).toEqual([
      { order: [1, 2, 0], ties: [] },
      { order: [0, 1], ties: [[0, 1]] },
    ]);
  });
});

describe('the package', () => {
  it('has a page about its API that says what the code says (npm run docs)', () => {
    expect(readFileSync(join(packageRoot, 'docs', 'api.md'), 'utf8')).toBe(apiPage());
  });

  it('exports at run time what its types declare, and every class of error that it throws', async () => {
    const [runtime, declared, errors] = await Promise.all([
      import(pathToFileURL(join(packageRoot, 'index.mjs')).href) as Promise<Record<string, unknown>>,
      import('../src/index.ts'),
      import('../src/errors.ts'),
    ]);
    expect(Object.keys(runtime).sort()).toEqual(Object.keys(declared).sort());
    expect(Object.values(runtime).filter((value) => value === undefined)).toEqual([]);
    const classes = Object.entries(errors).filter(([, value]) => value.prototype instanceof Error);
    expect(Object.keys(declared)).toEqual(expect.arrayContaining(classes.map(([name]) => name)));
  });

  it('documents every kind of event', () => {
    const page = readFileSync(join(packageRoot, 'docs', 'api.md'), 'utf8');
    for (const kind of ['started', 'progress', 'finished', 'skipped']) expect(page).toContain(`'stage-${kind}'`);
    for (const kind of ['metrics', 'note', 'warning']) expect(page).toContain(`kind: '${kind}'`);
  });

  it('ships the JSON Schemas of its recipes as the loader has them (npm run docs)', () => {
    for (const [path, text] of recipeSchemaFiles()) expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('says what to write where require() is used', () => {
    const { status, stderr } = spawnSync(process.execPath, ['-e', "require('selm')"], {
      cwd: packageRoot,
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toContain("write `const { train } = await import('selm')`");
  });

  it('runs its example', () => {
    const example = join(packageRoot, 'examples', 'library.ts');
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', example, join(root, 'example')],
      { cwd: packageRoot, encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/step 0: loss 0\.6931/);
    expect(stdout).toMatch(/scores: \[ -?[\d.]+, -?[\d.]+ \]/);
  });

  it('is imported by plain Node, and typed, from a folder that npm packed it into', () => {
    const listed = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: packageRoot,
      encoding: 'utf8',
    });
    const [{ files }] = JSON.parse(listed.stdout) as [{ files: { path: string }[] }];
    const names = files.map(({ path }) => path);
    expect(names).toContain('index.mjs');
    expect(names).toContain('src/text/tokenizer/tokenizer-process.mjs');
    expect(names.filter((name) => /\.test(ing)?\.ts$/.test(name))).toEqual([]);
    const installed = join(root, 'user', 'node_modules', 'selm');
    for (const name of names) {
      mkdirSync(join(installed, name, '..'), { recursive: true });
      cpSync(join(packageRoot, name), join(installed, name));
    }
    const types = spawnSync(
      process.execPath,
      [
        join(packageRoot, 'node_modules', 'typescript', 'bin', 'tsc'),
        '-p',
        'tsconfig.types.json',
        '--outDir',
        join(installed, 'dist', 'types'),
      ],
      { cwd: packageRoot, encoding: 'utf8' },
    );
    expect(types.stdout).toBe('');
    symlinkSync(join(packageRoot, 'node_modules'), join(installed, 'node_modules'));
    mkdirSync(join(installed, 'build'), { recursive: true });
    symlinkSync(join(packageRoot, 'build', 'native'), join(installed, 'build', 'native'));
    const program = [
      "import { generate, SelmError } from 'selm';",
      `for await (const { text } of generate(${JSON.stringify(stories)}, ['Once upon'], { maxNewTokens: 3, temperature: 0 }))`,
      '  console.log(text, typeof SelmError);',
    ].join('\n');
    writeFileSync(join(root, 'user', 'program.mjs'), program);
    writeFileSync(join(root, 'user', 'program.mts'), `${program}\nconst wrong: number = generate('x', []);\n`);
    const ran = spawnSync(process.execPath, ['program.mjs'], { cwd: join(root, 'user'), encoding: 'utf8' });
    expect(ran.stderr).toBe('');
    expect(ran.stdout).toMatch(/ function\n$/);
    const settings = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2022',
      '--lib',
      'es2023,esnext.disposable',
    ];
    const checked = spawnSync(
      process.execPath,
      [
        join(packageRoot, 'node_modules', 'typescript', 'bin', 'tsc'),
        ...settings,
        '--typeRoots',
        join(packageRoot, 'node_modules', '@types'),
        '--types',
        'node',
        'program.mts',
      ],
      { cwd: join(root, 'user'), encoding: 'utf8' },
    );
    // The one mistake that is in the program, so that the types are known to be there.
    expect(checked.stdout.trim().split('\n')).toHaveLength(1);
    expect(checked.stdout).toContain("program.mts(4,7): error TS2322: Type 'AsyncGenerator<Response");
  });
});
