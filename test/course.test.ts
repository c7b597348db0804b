/**
 * @file The best iteration of a run and its end on a regression. The reward of held-out prompts is the opposite of the one that is
 * trained on, so that every iteration falls behind the one before.
 */
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { type RunOutcome, runRecipe } from '../src/loop/run.ts';
import { loadModel } from '../src/model/load.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { openLedger } from '../src/store/ledger.ts';
import { runState } from '../src/store/run-state.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-course-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const path = writeSmallRecipe(root, {
  iterations: 3,
  sampling: { samples: 4, temperature: 1, maxNewTokens: 12, batchSize: 96 },
  objective: { preference: { kind: 'dpo', beta: 0.1 }, exploration: { kind: 'none' } },
  training: { batchSize: 4, learningRate: 0.0005, epochs: 8, microBatchTokens: 512 },
  slices: { size: 24, reuse: 'cycle' },
  evaluate: { prompts: 'heldout.jsonl', samples: 2, temperature: 1, explorationPrompts: 0, keepBest: 'reward' },
});
const names = ['Anna', 'Rob', 'Eve', 'Jack', 'Amy'];
const places = ['a lake', 'a farm', 'the sea', 'a hill', 'the zoo', 'a barn'];
writeFileSync(
  join(root, 'heldout.jsonl'),
  names.flatMap((name) => places.map((place) => `${JSON.stringify({ prompt: `${name} saw ${place}.` })}\n`)).join(''),
);
writeFileSync(
  join(root, 'reward.ts'),
  `export function reward(prompt: string, responses: string[]): number[] {
    const sign = prompt.includes(' saw ') ? -1 : 1;
    return responses.map((text) => sign * (text.split('a').length + text.split('e').length));
  }\n`,
);

const STOP = 'evaluate.stopOnRegression={measure: reward}';

async function train(name: string, overrides: string[] = []): Promise<{ outcome: RunOutcome; events: LoopEvent[] }> {
  const events: LoopEvent[] = [];
  const recipe = loadRecipe(path, { overrides: [`output=${join(root, name)}`, ...overrides] });
  return { outcome: await runRecipe(recipe, { watch: (event) => void events.push(event) }), events };
}

function stateOf(name: string, overrides: string[] = []) {
  using ledger = openLedger(join(root, name, 'run.db'), { access: 'read' });
  return runState(join(root, name), loadRecipe(path, { overrides }), ledger);
}

it('a run ends cleanly when an iteration falls behind beyond its interval, says why, and goes on under another setting', async () => {
  const { outcome, events } = await train('stopped', [STOP]);
  expect(outcome.modelPath).toBe(join(root, 'stopped', 'iteration-1', 'model'));
  const reason = /iteration 1 fell behind the base by reward: -\d\.\d+ \[-\d\.\d+, -\d\.\d+\] on 30 items/;
  const told = events.flatMap((event) => (event.kind === 'warning' ? [event.text] : []));
  expect(told.filter((text) => /^The run ends: /.test(text) && reason.test(text))).toHaveLength(1);
  expect(outcome.summary).toMatch(/The run ended early: iteration 1 fell behind the base/);
  expect(stateOf('stopped', [STOP])).toMatchObject({ kind: 'finished', early: expect.stringMatching(reason) });
  // The same command: the same end, and nothing done again.
  const again = await train('stopped', [STOP]);
  expect(again.outcome.modelPath).toBe(outcome.modelPath);
  expect(again.events.filter(({ kind }) => kind === 'stage-finished')).toEqual([]);
  // Patience for one more.
  const patient = await train('stopped', ['evaluate.stopOnRegression={measure: reward, patience: 2}']);
  expect(patient.outcome.modelPath).toBe(join(root, 'stopped', 'iteration-2', 'model'));
  expect(patient.outcome.summary).toContain('2 iterations in a row');
  // Without the rule the run goes on to its last iteration.
  const rest = await train('stopped');
  expect(rest.outcome.modelPath).toBe(join(root, 'stopped', 'iteration-3', 'model'));
  expect(stateOf('stopped')).toEqual({ kind: 'finished', early: null });
});

it('the best iteration is in the ledger, and its model is linked as `best` wherever the run is', async () => {
  const { outcome } = await train('stopped');
  expect(outcome.bestPath).toBe(join(root, 'stopped', 'best'));
  expect(readlinkSync(join(root, 'stopped', 'best'))).toBe('iteration-1/model');
  loadModel(join(root, 'stopped', 'best')).dispose();
  using ledger = openLedger(join(root, 'stopped', 'run.db'), { access: 'read' });
  const record = ledger.record(3, 'best');
  expect(record).toMatchObject({ measure: 'reward', iteration: 1, value: { count: 30 } });
  expect(record?.overBase?.value).toBeLessThan(0);
  expect(readFileSync(join(root, 'stopped', 'iteration-3', 'model', 'README.md'), 'utf8')).toContain(
    'The best of iterations 1 to 3 by reward is iteration 1',
  );
  expect(outcome.summary).toMatch(
    /Kept as best by reward: iteration 1, .* on 30 items, −.* against the base; chosen on them\./,
  );
});

it('refuses to stop by an interval over too few prompts, before anything is sampled', async () => {
  await expect(train('few', [STOP, 'evaluate.limit=12'])).rejects.toMatchObject({ code: 'REGRESSION_TOO_FEW' });
});
