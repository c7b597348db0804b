/**
 * @file A run in progress whose project changes under it: a reward that is mended, a folder that is moved, a learning rate
 * that is lowered. What was made is kept as far as it still holds, and said.
 */
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { train } from '../src/api/train.ts';
import { InterruptedError } from '../src/errors.ts';
import { sha256 } from '../src/files/hash.ts';
import { packageRoot } from '../src/files/package-root.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { openLedger } from '../src/store/ledger.ts';
import { readRunConfig } from '../src/store/run-config.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const root = mkdtempSync(join(tmpdir(), 'selm-changes-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
/** A project of its own: recipe, data, reward and model in one folder. */
function newProject(changes: Record<string, unknown> = {}): string {
  const folder = join(root, `project-${count++}`);
  writeSmallRecipe(folder, {
    model: 'model',
    output: join(folder, 'run'),
    data: { train: 'prompts.jsonl', limit: 12 },
    sampling: { samples: 2, temperature: 1, maxNewTokens: 8, batchSize: 6 },
    ...changes,
  });
  cpSync(join(packageRoot, 'assets', 'stories260K'), join(folder, 'model'), { recursive: true });
  return folder;
}

interface Options {
  /** Ends the run where it says yes. */
  stop?: (event: LoopEvent) => boolean;
  acceptChanges?: boolean;
}

/** Runs the recipe of a project as far as it goes. */
async function run(folder: string, { stop = () => false, acceptChanges = false }: Options = {}) {
  const controller = new AbortController();
  const recipe = join(folder, 'recipe.yaml');
  const training = train(recipe, { signal: controller.signal, acceptChanges });
  const events: LoopEvent[] = [];
  const ended = training.result.then(
    () => null,
    (error: unknown) => error,
  );
  try {
    for await (const event of training) {
      events.push(event);
      if (stop(event)) controller.abort(new InterruptedError('INTERRUPTED', 'Stopped by the test'));
    }
  } catch {
    // It is what `result` rejects with.
  }
  return { events, error: await ended };
}

function edit(folder: string, file: string, [from, to]: [string, string]): void {
  const text = readFileSync(join(folder, file), 'utf8');
  if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
  writeFileSync(join(folder, file), text.replace(from, to));
}

function modelBytes(folder: string, iteration: number): string {
  return sha256(readFileSync(join(folder, 'run', `iteration-${iteration}`, 'model', 'model.safetensors')));
}

const texts = (events: readonly LoopEvent[], kind: 'note' | 'warning'): string =>
  events.map((event) => (event.kind === kind ? event.text : '')).join('\n');

const inTraining = (event: LoopEvent): boolean =>
  event.kind === 'stage-progress' && event.iteration === 2 && event.stage === 'train' && event.done === 1;

let unbroken: string;
beforeAll(async () => {
  unbroken = newProject();
  expect((await run(unbroken)).error).toBeNull();
});

describe('a reward that fails', () => {
  it('before anything was ranked is mended, and the run goes on with its samples, and says so', async () => {
    const folder = newProject();
    const good = readFileSync(join(folder, 'reward.ts'), 'utf8');
    writeFileSync(join(folder, 'reward.ts'), 'export function reward() {\n  throw new Error("boom");\n}\n');
    const failed = await run(folder);
    expect(failed.error).toMatchObject({ code: 'RANKER_THREW' });
    writeFileSync(join(folder, 'reward.ts'), good);
    const { events, error } = await run(folder);
    expect(error).toBeNull();
    expect(texts(events, 'note')).toMatch(
      /ranker: the content of module changed: nothing was made with what was there before/,
    );
    expect(events.find((event) => event.kind === 'stage-skipped')).toMatchObject({ iteration: 1, stage: 'sample' });
    expect(modelBytes(folder, 2)).toBe(modelBytes(unbroken, 2));
  });

  it('after something was ranked ends the run until the user accepts to rank again; samples are kept', async () => {
    const folder = newProject();
    // The letter that counts is in a file of its own: what a module imports is a part of the ranker.
    writeFileSync(join(folder, 'letter.ts'), 'export const letter = "a";\n');
    edit(folder, 'reward.ts', ['"a"', 'letter']);
    edit(folder, 'reward.ts', ['export', 'import { letter } from "./letter";\nexport']);
    await run(folder, { stop: inTraining });
    edit(folder, 'letter.ts', ['"a"', '"e"']);
    const refused = await run(folder);
    expect(refused.error).toMatchObject({ code: 'RUN_DIFFERS' });
    expect(String(refused.error)).toContain('ranker: the content of letter.ts changed');
    expect(String(refused.error)).toMatch(
      /iteration 1 stays as made; rankings, pairs and training of iteration 2 are done/,
    );
    const { events, error } = await run(folder, { acceptChanges: true });
    expect(error).toBeNull();
    expect(texts(events, 'warning')).toMatch(/its responses are kept/);
    const skipped = events.filter((event) => event.kind === 'stage-skipped' && event.iteration === 2);
    expect(skipped.map((event) => 'stage' in event && event.stage)).toEqual(['sample']);
    expect(modelBytes(folder, 1)).toBe(modelBytes(unbroken, 1));
    using ledger = openLedger(join(folder, 'run', 'run.db'), { access: 'read' });
    const rankers = new Set(ledger.rankings(2).map(({ rankerId }) => rankerId));
    expect(rankers.size).toBe(2);
    expect(new Set(ledger.pairs(2).map(({ rankerId }) => rankerId))).toEqual(
      new Set([ledger.record(0, 'rankers')?.first]),
    );
  });
});

describe('a project folder', () => {
  it('that is moved with its run goes on, to the same bytes, also where a file has another name', async () => {
    const folder = newProject();
    // A half of the way: the run has a checkpoint, and all files are needed again.
    await run(folder, { stop: inTraining });
    const moved = join(root, 'moved', 'project');
    cpSync(folder, moved, { recursive: true });
    renameSync(folder, `${folder}-gone`);
    edit(moved, 'recipe.yaml', [join(folder, 'run'), join(moved, 'run')]);
    renameSync(join(moved, 'reward.ts'), join(moved, 'letters.ts'));
    edit(moved, 'recipe.yaml', ['reward.ts', 'letters.ts']);
    const { events, error } = await run(moved);
    expect(error).toBeNull();
    expect(events.find((event) => event.kind === 'stage-started' && event.stage === 'train')).toMatchObject({
      done: 1,
    });
    expect(modelBytes(moved, 2)).toBe(modelBytes(unbroken, 2));
    expect(readRunConfig(join(moved, 'run'))?.recipe.model).toBe(join(moved, 'model'));
    using ledger = openLedger(join(moved, 'run', 'run.db'), { access: 'read' });
    const rankers = new Set([1, 2].flatMap((iteration) => ledger.rankings(iteration).map(({ rankerId }) => rankerId)));
    expect([...rankers]).toEqual([expect.stringMatching(/^function:letters\.ts:/)]);
  });
});

describe('a learning rate', () => {
  it('that is lowered in the middle of an iteration trains that iteration again, if the user accepts it', async () => {
    const folder = newProject();
    await run(folder, { stop: inTraining });
    edit(folder, 'recipe.yaml', ['learningRate: 0.0005', 'learningRate: 0.0001']);
    expect((await run(folder)).error).toMatchObject({ code: 'RUN_DIFFERS' });
    const { events, error } = await run(folder, { acceptChanges: true });
    expect(error).toBeNull();
    expect(events.find((event) => event.kind === 'stage-started' && event.stage === 'train')).toMatchObject({
      done: 0,
    });
    expect(modelBytes(folder, 1)).toBe(modelBytes(unbroken, 1));
    expect(modelBytes(folder, 2)).not.toBe(modelBytes(unbroken, 2));
    const config = readRunConfig(join(folder, 'run'));
    expect(config?.continuedIn.at(-1)).toMatchObject({
      settings: [{ field: 'training.learningRate', old: 0.0005, new: 0.0001 }],
      doneAgain: expect.stringContaining('training of iteration 2 is done again'),
    });
  });

  it('of one more iteration is that of the others: a finished run goes on where it ended', async () => {
    const folder = newProject({ data: { train: 'prompts.jsonl' }, slices: { count: 4 } });
    expect((await run(folder)).error).toBeNull();
    const second = modelBytes(folder, 2);
    edit(folder, 'recipe.yaml', ['iterations: 2', 'iterations: 3']);
    const { error } = await run(folder);
    expect(error).toBeNull();
    expect(modelBytes(folder, 2)).toBe(second);
    // The warm-up's first step has rate 0: a slice of six makes two steps.
    expect(modelBytes(folder, 3)).not.toBe(second);
  });
});
