import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { acquireLock } from '../files/lock.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { parseRecipe } from '../recipe/load.ts';
import { type CleanableRun, deleteDisposables, disposablesOf } from './disposable.ts';
import type { StageRecord } from './ledger-rows.ts';

/** A run of three iterations with the files that are named, of which `finished` iterations are done. */
function runWith(
  files: Record<string, number>,
  { finished, reference = 'previous' }: { finished: number; reference?: string },
): CleanableRun {
  const path = temporaryFolder();
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), Buffer.alloc(bytes));
  }
  const recipe = parseRecipe({
    name: 'r',
    model: 'm',
    data: { train: 'd' },
    reference,
    ranker: { kind: 'function', module: 'r.ts' },
    objective: { preference: { kind: 'dpo' }, exploration: { kind: 'none' } },
    training: { learningRate: 1 },
  });
  const stages = [1, 2, 3].map((iteration): StageRecord => {
    const status = iteration <= finished ? 'finished' : 'running';
    return {
      iteration,
      stage: 'train',
      status,
      attempt: 1,
      startedAt: '',
      finishedAt: null,
      seconds: null,
      error: null,
    };
  });
  return { path, recipe, ledger: { stages: { all: () => stages.slice(0, finished + 1) } } };
}

const MODELS = {
  'iteration-1/model/model.safetensors': 100,
  'iteration-2/model/model.safetensors': 200,
  'iteration-3/model/model.safetensors': 300,
};
const namesOf = (run: CleanableRun): string[] => disposablesOf(run).map(({ path }) => relative(run.path, path));

describe('what of a run may be deleted', () => {
  it('the models before the last of a finished run, the largest first, with their bytes', () => {
    const run = runWith(MODELS, { finished: 3 });
    expect(disposablesOf(run)).toMatchObject([
      { kind: 'model', path: join(run.path, 'iteration-2/model'), bytes: 200 },
      { kind: 'model', path: join(run.path, 'iteration-1/model'), bytes: 100 },
    ]);
  });

  it('not the best model', () => {
    const run = runWith(MODELS, { finished: 3 });
    symlinkSync('iteration-1/model', join(run.path, 'best'));
    expect(namesOf(run)).toEqual(['iteration-2/model']);
  });

  it('not what an unfinished iteration starts from, or is held to', () => {
    const { 'iteration-3/model/model.safetensors': _, ...two } = MODELS;
    expect(namesOf(runWith(two, { finished: 2 }))).toEqual(['iteration-1/model']);
    expect(namesOf(runWith(two, { finished: 2, reference: 'initial' }))).toEqual([]);
  });

  it('checkpoints beside a model, and what a process left that died while it wrote', () => {
    const run = runWith(
      {
        'iteration-1/model/model.safetensors': 1,
        'iteration-1/checkpoints/step-2/state': 7,
        'iteration-2/checkpoints/step-2/state': 9,
        'iteration-2/.model.tmp/half': 5,
        'run.lock.1.stale': 1,
      },
      { finished: 1 },
    );
    expect(namesOf(run).sort()).toEqual(['iteration-1/checkpoints', 'iteration-2/.model.tmp', 'run.lock.1.stale']);
  });

  it('is gone afterwards, and nothing else', () => {
    const run = runWith(MODELS, { finished: 3 });
    deleteDisposables(run, disposablesOf(run));
    expect([1, 2, 3].map((i) => existsSync(join(run.path, `iteration-${i}/model`)))).toEqual([false, false, true]);
    expect(disposablesOf(run)).toEqual([]);
  });

  it('is not looked for while a process works in the run', () => {
    const run = runWith(MODELS, { finished: 3 });
    using _lock = acquireLock(join(run.path, 'run.lock'));
    expect(() => disposablesOf(run)).toThrow(expect.objectContaining({ code: 'RUN_LOCKED' }));
  });
});
