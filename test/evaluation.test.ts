/** @file The measurement of a model inside a run: answers are durable as they finish, and no model is asked the same twice. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { InterruptedError } from '../src/errors.ts';
import { runRecipe } from '../src/loop/run.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { openLedger } from '../src/store/ledger.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-evaluation-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const path = writeSmallRecipe(root, {
  iterations: 1,
  sampling: { samples: 2, temperature: 1, maxNewTokens: 8, batchSize: 2 },
  evaluate: { prompts: 'prompts.jsonl', limit: 6, samples: 2, temperature: 1, greedy: true, explorationPrompts: 0 },
});

/** Runs the recipe in a folder; stops in iteration t's evaluation once `afterAnswers` or more are there. */
async function train(name: string, stop?: { iteration: number; afterAnswers: number }): Promise<LoopEvent[]> {
  const controller = new AbortController();
  const events: LoopEvent[] = [];
  const watch = (event: LoopEvent): void => {
    events.push(event);
    if (stop === undefined || event.kind !== 'stage-progress' || event.stage !== 'evaluate') return;
    if (event.iteration === stop.iteration && event.done >= stop.afterAnswers)
      controller.abort(new InterruptedError('INTERRUPTED', 'stopped'));
  };
  const recipe = loadRecipe(path, { overrides: [`output=${join(root, name)}`] });
  await runRecipe(recipe, { watch, signal: controller.signal });
  return events;
}

function evaluations(name: string): unknown {
  using ledger = openLedger(join(root, name, 'run.db'), { access: 'read' });
  return ledger.records('evaluation');
}

it('a stop in the middle of an evaluation loses no answer, and the measurement is that of an unbroken run', async () => {
  await train('unbroken');
  await expect(train('stopped', { iteration: 1, afterAnswers: 5 })).rejects.toBeInstanceOf(InterruptedError);
  const events = await train('stopped');
  const started = events.find((event) => event.kind === 'stage-started' && event.stage === 'evaluate');
  expect(started).toMatchObject({ iteration: 1, total: 12 });
  expect(started?.kind === 'stage-started' ? started.done : 0).toBeGreaterThanOrEqual(5);
  expect(evaluations('stopped')).toEqual(evaluations('unbroken'));
});

it('one greedy answer a prompt is rewarded beside the sampled ones, where the recipe asks for it', () => {
  using ledger = openLedger(join(root, 'unbroken', 'run.db'), { access: 'read' });
  for (const { record } of ledger.records('evaluation')) {
    const { promptIds, greedy } = record.data;
    expect(greedy?.promptIds).toEqual([...new Set(promptIds)]);
    // The reward counts the letter a, and one: every text has it.
    expect(greedy?.rewards.every((reward) => reward >= 1)).toBe(true);
  }
});

it('the rows that an iteration sees are in the ledger, so a later look needs no file', async () => {
  await train('rows');
  using ledger = openLedger(join(root, 'rows', 'run.db'), { access: 'read' });
  const rows = ledger.slice(1);
  expect(rows).toHaveLength(24);
  expect(ledger.pairs(1).every(({ promptId }) => ledger.row(promptId)?.prompt.kind === 'text')).toBe(true);
});

it('wins over the base and over the iteration before are asked of a ranker that orders only, and are in the ledger with n', async () => {
  const folder = join(root, 'order');
  const recipe = writeSmallRecipe(folder, {
    sampling: { samples: 2, temperature: 1, maxNewTokens: 8, batchSize: 8 },
    ranker: { kind: 'function', module: 'order.ts' },
    evaluate: { prompts: 'prompts.jsonl', samples: 1, temperature: 1, explorationPrompts: 0 },
  });
  // The longer text is better; ties are told as ties.
  writeFileSync(
    join(folder, 'order.ts'),
    `export function rank(_prompt: string, responses: string[]): number[] {
      return responses.map((_, i) => i).sort((a, b) => (responses[b]?.length ?? 0) - (responses[a]?.length ?? 0));
    }\n`,
  );
  const events: LoopEvent[] = [];
  const output = join(folder, 'run');
  await runRecipe(loadRecipe(recipe, { overrides: [`output=${output}`] }), {
    watch: (event) => void events.push(event),
  });
  using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  const { data } = ledger.record(2, 'evaluation') ?? {};
  expect(data?.marginsOverPrevious).toHaveLength(24);
  const answersOf = (iteration: number) =>
    ledger.record(iteration, 'evaluation')?.answers.map(({ text }) => text) ?? [];
  const [own, before] = [answersOf(2), answersOf(1)];
  data?.marginsOverPrevious?.forEach((margin, place) => {
    if (own[place]?.length !== before[place]?.length)
      expect(margin).toBe((own[place]?.length ?? 0) > (before[place]?.length ?? 0) ? 1 : -1);
    if (own[place] === before[place]) expect(margin).toBe(0);
  });
  const { previous } = ledger.record(2, 'win-rates') ?? {};
  const margins = data?.marginsOverPrevious ?? [];
  expect(previous?.value).toBeCloseTo(margins.reduce((sum, margin) => sum + (margin + 1) / 2, 0) / 24, 12);
  const said = events.findLast((event) => event.kind === 'stage-finished' && event.stage === 'evaluate');
  expect(said).toMatchObject({
    summary: expect.stringMatching(/win rate .* over the base, .* over iteration 1, n = 24 prompts$/),
  });
});

it('prompts that the ranker gives no verdict on are counted and left out of rewards and win rates, never taken as lost', async () => {
  const folder = join(root, 'refuses');
  const recipe = writeSmallRecipe(folder, {
    iterations: 2,
    sampling: { samples: 2, temperature: 1, maxNewTokens: 4, batchSize: 8 },
    ranker: { kind: 'function', module: 'refusing.ts', onError: 'drop' },
    evaluate: { prompts: 'prompts.jsonl', samples: 1, temperature: 1, explorationPrompts: 0 },
  });
  writeFileSync(
    join(folder, 'refusing.ts'),
    `export function reward(prompt: string, responses: string[]): number[] {
      if (prompt.startsWith('Max')) throw new Error('I would rather not');
      return responses.map((text) => text.length);
    }\n`,
  );
  const events: LoopEvent[] = [];
  const output = join(folder, 'run');
  await runRecipe(loadRecipe(recipe, { overrides: [`output=${output}`] }), {
    watch: (event) => void events.push(event),
  });
  const told = events.filter(
    (event) => event.kind === 'warning' && /^4 held-out prompts got no verdict/.test(event.text),
  );
  expect(told.map(({ iteration }) => iteration)).toEqual([0, 1, 2]);
  using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  expect(ledger.record(2, 'evaluation')?.data.rewards).toHaveLength(20);
  expect(ledger.record(2, 'win-rates')).toMatchObject({ base: { count: 20 }, previous: { count: 20 } });
});
