/** @file Rankers with a model, each through a whole small run: what they cut is counted, and a stopped run loses none of it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../src/files/hash.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { runRecipe } from '../src/loop/run.ts';
import { openRewardModel } from '../src/rank/model/reward-model.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { LoopEvent, StageName } from '../src/store/events.ts';
import { openLedger } from '../src/store/ledger.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const fixtures = join(packageRoot, 'test', 'fixtures', 'rankers');
const root = mkdtempSync(join(tmpdir(), 'selm-rankers-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

/** A recipe of one iteration with this ranker, and where it runs. */
function recipeWith(
  ranker: Record<string, unknown>,
  changes: Record<string, unknown> = {},
): { path: string; output: string } {
  const folder = join(root, String(count++));
  return { path: writeSmallRecipe(folder, { iterations: 1, ranker, ...changes }), output: join(folder, 'run') };
}

async function run(
  { path, output }: { path: string; output: string },
  signal?: { controller: AbortController; stage: StageName; done: number; iteration?: number },
): Promise<LoopEvent[]> {
  const events: LoopEvent[] = [];
  const watch = (event: LoopEvent): void => {
    events.push(event);
    if (event.kind !== 'stage-progress' || signal === undefined) return;
    const { stage, done, iteration = 1 } = signal;
    if (event.stage === stage && event.done === done && event.iteration === iteration) signal.controller.abort();
  };
  await runRecipe(loadRecipe(path, { overrides: [`output=${output}`] }), { watch, signal: signal?.controller.signal });
  return events;
}

function cuts(output: string): { prompts: number; responses: number } {
  using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  return ledger.cuts(1, 'rank');
}

function weights(output: string, iteration = 1): string {
  return sha256(readFileSync(join(output, `iteration-${iteration}`, 'model', 'model.safetensors')));
}

describe('a run', () => {
  const reward = { kind: 'reward-model', model: join(fixtures, 'decoders', 'llama3'), maxTokens: 60 };

  it('ranked by a reward model counts what was too long for it, and says so', async () => {
    const recipe = recipeWith(reward);
    const events = await run(recipe);
    const cut = cuts(recipe.output);
    expect(cut.prompts).toBeGreaterThan(0);
    const warnings = events.flatMap((event) => (event.kind === 'warning' ? [event.text] : []));
    expect(warnings.join()).toContain(`Too long for the ranker and cut before it judged: ${cut.prompts} prompts`);
  });

  it('stopped while it ranks goes on to the same verdicts, counts and weights', async () => {
    const [whole, stopped] = [recipeWith(reward), recipeWith(reward)];
    await run(whole);
    const controller = new AbortController();
    await expect(run(stopped, { controller, stage: 'rank', done: 7 })).rejects.toThrow();
    await run(stopped);
    expect(cuts(stopped.output)).toEqual(cuts(whole.output));
    expect(weights(stopped.output)).toBe(weights(whole.output));
  });

  it('ranked by PairRM trains on pairs of its comparisons', async () => {
    const recipe = recipeWith({ kind: 'pairrm', model: join(fixtures, 'pairrm-hf') });
    await run(recipe);
    const ledger = openLedger(join(recipe.output, 'run.db'), { access: 'read' });
    const rankings = ledger.rankings(1);
    ledger.close();
    expect(rankings).toHaveLength(24);
    for (const { rankerId, scores } of rankings) {
      expect(rankerId).toMatch(/^pairrm:pairrm-hf:float32:sha256=/);
      expect(Math.abs((scores ?? []).reduce((sum, score) => sum + score, 0))).toBeLessThan(1e-6);
    }
  });
});

describe('a run with a reward model of its own', () => {
  const ranker = { kind: 'function', module: 'reward.ts' };
  const learned = (alpha: number) => ({
    iterations: 2,
    objective: { preference: { kind: 'dpo', beta: 0.1 }, exploration: { kind: 'none' } },
    rewardModel: { labels: 5, alpha, learningRate: 0.001, batchSize: 4 },
  });
  const whole = recipeWith(ranker, learned(0.1));
  const rewardModel = (output: string, iteration: number): string =>
    join(output, `iteration-${iteration}`, 'reward-model');
  beforeAll(async () => void (await run(whole)));

  it('asks the ranker about the labelled prompts only, and pairs every prompt by what it learned', () => {
    using ledger = openLedger(join(whole.output, 'run.db'), { access: 'read' });
    for (const iteration of [1, 2]) {
      const by = (name: string) => ledger.rankings(iteration).filter(({ rankerId }) => rankerId.startsWith(name));
      expect([by('function:').length, by('learned-reward:').length]).toEqual([5, 12]);
      const rankers = new Set(ledger.pairs(iteration).map(({ rankerId }) => rankerId?.split(':')[0]));
      expect([...rankers]).toEqual(['learned-reward']);
    }
    const steps = ledger.metrics().filter(({ stage, iteration }) => stage === 'reward-model' && iteration === 2);
    expect(steps.length).toBeGreaterThan(0);
  });

  it('keeps each reward model as a sequence classifier that the ranker kind reward-model opens', async () => {
    const saved = openRewardModel(rewardModel(whole.output, 2));
    expect(saved.gives).toBe('scores');
    await saved.close();
  });

  it('stopped while it fits goes on from the step where it was, to the same weights', async () => {
    const stopped = recipeWith(ranker, learned(0.1));
    const controller = new AbortController();
    await expect(run(stopped, { controller, stage: 'reward-model', done: 2, iteration: 2 })).rejects.toThrow();
    const events = await run(stopped);
    expect(events).toContainEqual(
      expect.objectContaining({ kind: 'stage-started', stage: 'reward-model', iteration: 2, done: 2 }),
    );
    expect(weights(stopped.output, 2)).toBe(weights(whole.output, 2));
  });

  it('trains an adapter where the policy does, and is saved as a whole classifier all the same', async () => {
    const adapter = { kind: 'lora', rank: 2, alpha: 4 };
    const training = { batchSize: 3, learningRate: 0.0005, microBatchTokens: 64, adapter };
    const tuned = recipeWith(ranker, { ...learned(0.1), iterations: 1, training });
    await run(tuned);
    const saved = openRewardModel(rewardModel(tuned.output, 1));
    expect(saved.gives).toBe('scores');
    await saved.close();
  });

  it('learns something else with optimism than without', async () => {
    const plain = recipeWith(ranker, { ...learned(0), iterations: 1 });
    await run(plain);
    const rewards = (output: string): string => sha256(readFileSync(join(rewardModel(output, 1), 'model.safetensors')));
    expect(rewards(plain.output)).not.toBe(rewards(whole.output));
  });
});
