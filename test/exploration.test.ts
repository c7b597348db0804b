/** @file What exploration did, measured on small runs with and without the optimism term and shown in the report. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mean } from '../src/evaluate/statistics.ts';
import { type RunOutcome, runRecipe } from '../src/loop/run.ts';
import { twinOf } from '../src/loop/twin.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { collectReport } from '../src/report/collect.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-exploration-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('a run with strong optimism beside its twin', () => {
  const path = writeSmallRecipe(join(root, 'strong'), {
    iterations: 1,
    sampling: { samples: 3, temperature: 1, maxNewTokens: 16 },
    objective: { preference: { kind: 'dpo', beta: 0.1 }, exploration: { kind: 'selm', alpha: 2 } },
    evaluate: { prompts: 'prompts.jsonl', limit: 6, samples: 2, temperature: 1, twin: 'beside' },
  });
  const recipe = loadRecipe(path, { overrides: [`output=${join(root, 'run')}`] });
  const events: LoopEvent[] = [];
  let outcome: RunOutcome;
  beforeAll(async () => {
    outcome = await runRecipe(recipe, { watch: (event) => void events.push(event) });
  }, 120_000);

  const explorationOf = (method: number) => collectReport(recipe, twinOf(recipe))?.methods[method]?.exploration[0];

  it('lowers y below the reference, and below where the twin leaves it on the same prompts', () => {
    const [ours, twin] = [explorationOf(0), explorationOf(1)];
    // The twin has the reference's numbers still to compute, so it affords fewer of the prompts, from the same first one on.
    const common = twin?.logRatios.length ?? 0;
    expect(common).toBeGreaterThan(2);
    expect(ours?.logRatios.length).toBeGreaterThanOrEqual(common);
    expect(mean(ours?.logRatios ?? [])).toBeLessThan(0);
    expect(mean(ours?.logRatios.slice(0, common) ?? [])).toBeLessThan(mean(twin?.logRatios ?? []) - 0.1);
  });

  it('moves its bar from nothing to its total', () => {
    const own = events.filter((event) => event.run === recipe.name);
    const total = own.find((event) => event.kind === 'stage-started' && event.stage === 'explore');
    const done = own.flatMap((event) =>
      event.kind === 'stage-progress' && event.stage === 'explore' ? [event.done] : [],
    );
    expect(total).toMatchObject({ done: 0, total: done.at(-1) });
    // Log-ratios, then the gradient of each term.
    expect(new Set(done).size).toBeGreaterThanOrEqual(3);
    expect(done).toEqual([...done].sort((a, b) => a - b));
  });

  it('has an optimism gradient that is none in the twin, and norms that are those of a sum', () => {
    const { preference = 0, exploration = 0, total = 0 } = explorationOf(0)?.gradient ?? {};
    expect(exploration).toBeGreaterThan(0);
    expect(total).toBeLessThanOrEqual((preference + exploration) * (1 + 1e-6));
    expect(total).toBeGreaterThanOrEqual(Math.abs(preference - exploration) * (1 - 1e-6));
    expect(explorationOf(1)?.gradient).toMatchObject({ exploration: 0 });
  });

  it('counts every prompt once in what became of y, the same before training in both', () => {
    const { fate } = explorationOf(0) ?? {};
    expect(Object.values(fate ?? {}).reduce((sum, count) => sum + count, 0)).toBe(24);
    expect(fate?.between).toBeGreaterThan(0);
    expect(explorationOf(1)?.fate).toEqual(fate);
  });

  it('shows it in the report and at the end of the command', () => {
    const page = readFileSync(outcome.reportPath ?? '', 'utf8');
    for (const text of ['What exploration did', 'y became chosen', 'Self-BLEU', 'optimism gradient', 'length / base’s'])
      expect(page).toContain(text);
    expect(outcome.summary).toMatch(/Exploration, SELM it\. 1: y chosen \d+ %, rejected .* log-ratio −/);
  });
});
