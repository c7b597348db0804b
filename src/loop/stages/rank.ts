/** @file The stage that ranks: the policy's responses against the chosen and the rejected one, every verdict kept. */
import type { PreferenceRow } from '../../data/rows.ts';
import type { Candidate, RankItem } from '../../rank/ranker.ts';
import type { Ledger } from '../ledger.ts';
import type { IterationContext } from './stage.ts';

/** Candidates of each row in the order [y..., y_w, y_l], from the ledger's responses and the data. */
export function rankItems(ledger: Ledger, iteration: number, rows: readonly PreferenceRow[]): RankItem[] {
  const sampled = new Map<string, Candidate[]>();
  for (const { promptId, sampleIndex, text } of ledger.responses(iteration)) {
    const known = sampled.get(promptId) ?? [];
    known.push({ kind: 'response', sampleIndex, text });
    sampled.set(promptId, known);
  }
  return rows.map(({ promptId, prompt, chosen, rejected }) => {
    const candidates = (sampled.get(promptId) ?? []).sort((a, b) => (a.sampleIndex ?? 0) - (b.sampleIndex ?? 0));
    if (chosen !== null) candidates.push({ kind: 'chosen', sampleIndex: null, text: chosen });
    if (rejected !== null) candidates.push({ kind: 'rejected', sampleIndex: null, text: rejected });
    return { promptId, prompt, candidates };
  });
}

async function* stream(items: readonly RankItem[]): AsyncGenerator<RankItem> {
  yield* items;
}

/** Ranks what the ledger has no verdict on yet. */
export async function rankResponses(context: IterationContext, rows: readonly PreferenceRow[]): Promise<string> {
  const { recipe, ledger, ranker, iteration, watch } = context;
  const ranked = new Set(ledger.rankings(iteration).map(({ promptId }) => promptId));
  const items = rankItems(ledger, iteration, rows).filter(({ promptId }) => !ranked.has(promptId));
  watch({
    kind: 'stage-started',
    run: recipe.name,
    iteration,
    stage: 'rank',
    total: rows.length,
    done: ranked.size,
    unit: 'prompts',
  });
  const byPrompt = new Map(items.map((item) => [item.promptId, item]));
  let done = ranked.size;
  let ties = 0;
  let problems = 0;
  for await (const ranking of ranker.rank(stream(items))) {
    const item = byPrompt.get(ranking.promptId);
    if (item === undefined) continue;
    ledger.putRanking({ iteration, rankerId: ranker.id, candidates: item.candidates, ...ranking });
    done += 1;
    ties += ranking.ties.length > 0 ? 1 : 0;
    problems += ranking.problem === undefined ? 0 : 1;
    watch({ kind: 'stage-progress', iteration, stage: 'rank', done, total: rows.length });
    context.signal?.throwIfAborted();
  }
  return `${done} prompts ranked by ${ranker.id.replace(/(sha256=.{12}).*/, '$1')}, ${ties} with ties${problems > 0 ? `, ${problems} without a verdict` : ''}`;
}
