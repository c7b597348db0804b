/** @file Runs of earlier versions (test/fixtures/old-runs): each is opened, read and finished by the program as it is now. */
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';
import { temporaryFolder } from '../src/files/temporary.testing.ts';
import { runRecipe } from '../src/loop/run.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { collectReport } from '../src/report/collect.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { openLedger } from '../src/store/ledger.ts';
import { readRunConfig } from '../src/store/run-config.ts';

vi.setConfig({ testTimeout: 120_000 });

/** A copy of the run's project in a place of its own: it has moved. */
function projectOf(commit: string): string {
  const folder = join(temporaryFolder(), 'project');
  cpSync(join(packageRoot, 'test', 'fixtures', 'old-runs', commit), folder, { recursive: true });
  cpSync(join(packageRoot, 'assets', 'stories260K'), join(folder, 'stories260K'), { recursive: true });
  return folder;
}

/** The recipe of a project, its run directory where the project is. */
function recipeOf(folder: string) {
  return loadRecipe(join(folder, 'recipe.yaml'), { overrides: [`output=${join(folder, 'run')}`] });
}

test('a run of 73761dc is read: its recipe, rows, pairs, metrics and report', () => {
  const folder = projectOf('73761dc');
  const config = readRunConfig(join(folder, 'run'));
  expect(config?.recipe).toMatchObject({ seed: 1, sampling: { samples: 2 }, training: { learningRate: 0.0003 } });
  using ledger = openLedger(join(folder, 'run', 'run.db'), { access: 'read' });
  expect(ledger.pairs(1)).toHaveLength(6);
  expect(ledger.metrics().filter(({ stage }) => stage === 'train')).toHaveLength(3);
  expect(ledger.stages.status(2, 'rank')).toBe('running');
  const report = collectReport(recipeOf(folder), null);
  expect(report?.methods[0]?.training).toHaveLength(3);
});

test('a run of 73761dc goes on to its end in another place, with everything that it had made', async () => {
  const folder = projectOf('73761dc');
  const output = join(folder, 'run');
  const before = openLedger(join(output, 'run.db'), { access: 'read' });
  const [responses, rankings] = [before.responses(2), before.rankings(2)];
  before.close();
  const first = readFileSync(join(output, 'iteration-1', 'model', 'model.safetensors'));

  const events: LoopEvent[] = [];
  const { modelPath } = await runRecipe(recipeOf(folder), { watch: (event) => void events.push(event) });

  expect(modelPath).toBe(join(output, 'iteration-2', 'model'));
  expect(readFileSync(join(output, 'iteration-1', 'model', 'model.safetensors')).equals(first)).toBe(true);
  expect(events.find((event) => event.kind === 'stage-started')).toMatchObject({
    iteration: 2,
    stage: 'rank',
    done: rankings.length,
  });
  using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  expect(ledger.responses(2)).toEqual(responses);
  expect(ledger.rankings(2)).toEqual(expect.arrayContaining(rankings));
  expect(ledger.rankings(2)).toHaveLength(6);
  // Its prompts are texts, which it continues; a new run would read them as messages of the user.
  expect(events.flatMap((event) => (event.kind === 'note' ? [event.text] : [])).join('\n')).toContain(
    'text.prompts: raw',
  );
  // And once more: what it was brought up to is what it is compared with.
  const again: LoopEvent[] = [];
  await runRecipe(recipeOf(folder), { watch: (event) => void again.push(event) });
  expect(again.filter(({ kind }) => kind === 'warning' || kind === 'stage-started')).toEqual([]);
});
