/** @file Rankers with a model, each through a whole small run: what they cut is counted, and a stopped run loses none of it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { sha256 } from '../src/files/hash.ts';
import type { LoopEvent } from '../src/loop/events.ts';
import { openLedger } from '../src/loop/ledger.ts';
import { runRecipe } from '../src/loop/run.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { packageRoot } from '../src/torch/native.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const fixtures = join(packageRoot, 'test', 'fixtures', 'rankers');
const root = mkdtempSync(join(tmpdir(), 'selm-rankers-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

/** A recipe of one iteration with this ranker, and where it runs. */
function recipeWith(ranker: Record<string, unknown>): { path: string; output: string } {
  const folder = join(root, String(count++));
  return { path: writeSmallRecipe(folder, { iterations: 1, ranker }), output: join(folder, 'run') };
}

async function run(
  { path, output }: { path: string; output: string },
  signal?: { controller: AbortController; afterRankings: number },
): Promise<LoopEvent[]> {
  const events: LoopEvent[] = [];
  const watch = (event: LoopEvent): void => {
    events.push(event);
    if (event.kind === 'stage-progress' && event.stage === 'rank' && event.done === signal?.afterRankings)
      signal.controller.abort();
  };
  await runRecipe(loadRecipe(path, { overrides: [`output=${output}`] }), { watch, signal: signal?.controller.signal });
  return events;
}

function audit(output: string, kind: string): unknown {
  const ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  try {
    return ledger.audits().find((each) => each.iteration === 1 && each.kind === kind)?.audit;
  } finally {
    ledger.close();
  }
}

function weights(output: string): string {
  return sha256(readFileSync(join(output, 'iteration-1', 'model', 'model.safetensors')));
}

describe('a run', () => {
  const reward = { kind: 'reward-model', model: join(fixtures, 'decoders', 'llama3'), maxTokens: 60 };

  it('ranked by a reward model counts what was too long for it, and says so', async () => {
    const recipe = recipeWith(reward);
    const events = await run(recipe);
    const cut = audit(recipe.output, 'ranker cut') as { prompts: number; responses: number };
    expect(cut.prompts).toBeGreaterThan(0);
    const warnings = events.flatMap((event) => (event.kind === 'warning' ? [event.text] : []));
    expect(warnings.join()).toContain(`Too long for the ranker and cut before it judged: ${cut.prompts} prompts`);
  });

  it('stopped while it ranks goes on to the same verdicts, counts and weights', async () => {
    const [whole, stopped] = [recipeWith(reward), recipeWith(reward)];
    await run(whole);
    const controller = new AbortController();
    await expect(run(stopped, { controller, afterRankings: 7 })).rejects.toThrow();
    await run(stopped);
    expect(audit(stopped.output, 'ranker cut')).toEqual(audit(whole.output, 'ranker cut'));
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
