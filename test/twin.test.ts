/** @file A twin beside its run, in a process of its own: the same bytes as after it, stopped with it, and told of when it fails. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { InterruptedError } from '../src/errors.ts';
import { sha256Folder } from '../src/files/hash.ts';
import { runRecipe } from '../src/loop/run.ts';
import { ALONE } from '../src/ranks/team.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { Recipe } from '../src/recipe/schema.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-twin-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const path = writeSmallRecipe(root, {
  iterations: 1,
  sampling: { samples: 2, temperature: 1, maxNewTokens: 8 },
  evaluate: { explorationPrompts: 0, twin: 'beside' },
});

function recipeIn(name: string, ...overrides: string[]): Recipe {
  return loadRecipe(path, { overrides: [`output=${join(root, name)}`, ...overrides] });
}

/** The models of the run and of the twin. */
function models(name: string): string[] {
  return [join(root, name), join(root, name, 'twin')].map((run) => sha256Folder(join(run, 'iteration-1', 'model')));
}

it('makes the models that a twin after the run makes, and its events take their place among those of the run', async () => {
  await runRecipe(recipeIn('after', 'evaluate.twin=true'));
  const events: LoopEvent[] = [];
  await runRecipe(recipeIn('beside'), { watch: (event) => void events.push(event) });
  expect(models('beside')).toEqual(models('after'));
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, i) => i + 1));
  const trained = events.filter(
    ({ kind, ...event }) => kind === 'stage-finished' && 'stage' in event && event.stage === 'train',
  );
  expect(trained.map(({ run }) => run).sort()).toEqual(['small', 'small-twin']);
});

it('stops with its run, and the same call goes on with both to the same bytes', async () => {
  const stop = new AbortController();
  const watch = ({ kind, run }: LoopEvent): void => {
    if (kind === 'stage-started' && run === 'small-twin') stop.abort(new InterruptedError('INTERRUPTED', 'stopped'));
  };
  await expect(runRecipe(recipeIn('stopped'), { watch, signal: stop.signal })).rejects.toBeInstanceOf(InterruptedError);
  await runRecipe(recipeIn('stopped'));
  expect(models('stopped')).toEqual(models('after'));
});

it('that fails is an error once the run itself has finished', async () => {
  mkdirSync(join(root, 'failing', 'twin'), { recursive: true });
  writeFileSync(join(root, 'failing', 'twin', 'notes.txt'), 'mine');
  await expect(runRecipe(recipeIn('failing'))).rejects.toMatchObject({
    code: 'TWIN_FAILED',
    message: expect.stringContaining('"notes.txt" and no config.yaml'),
  });
  expect(existsSync(join(root, 'failing', 'iteration-1', 'model', 'model.safetensors'))).toBe(true);
});

it('ends with its run where a watcher throws at one of its events, by what that threw', async () => {
  const watch = ({ run }: LoopEvent): void => {
    if (run === 'small-twin') throw new Error('no room on the screen');
  };
  await expect(runRecipe(recipeIn('watched'), { watch })).rejects.toThrow('no room on the screen');
});

it('is refused on several ranks, before anything is done', async () => {
  const team = { ...ALONE, group: { ...ALONE.group, size: 2 } };
  await expect(runRecipe(recipeIn('ranks'), { team })).rejects.toMatchObject({ code: 'RANKS_TWIN' });
});
