/** @file The stage that ranks: the policy's responses against the chosen and the rejected one, every verdict kept. */
import type { PreferenceRow } from '../../data/rows.ts';
import type { Candidate, RankItem, Ranking } from '../../rank/ranker.ts';
import type { Ledger, RankingRecord } from '../ledger.ts';
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

/** Audits of what a ranker cut are kept under this and the prompt's id. */
const CUT = 'ranker cut/';

/** Prompts and responses of an iteration that were too long for the ranker and lost a part before they were judged. */
function countCut(ledger: Ledger, iteration: number): { prompts: number; responses: number } {
  const cuts = ledger.audits().filter((each) => each.iteration === iteration && each.kind.startsWith(CUT));
  const values = cuts.map(({ audit }) => audit as NonNullable<Ranking['cut']>);
  return {
    prompts: values.filter(({ prompt }) => prompt).length,
    responses: values.reduce((sum, { responses }) => sum + responses, 0),
  };
}

/** A verdict as it was given, from its record. */
export function rankingOf({ promptId, scores, order, ties, problem }: RankingRecord): Ranking {
  return {
    promptId,
    scores: scores === null ? null : [...scores],
    order: [...order],
    ties: ties.map((tie) => [...tie]),
    ...(problem === undefined ? {} : { problem }),
  };
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
    // Before the verdict, under the prompt's own name: an attempt that is cut short and repeated counts it once.
    if (ranking.cut !== undefined) ledger.putAudit(iteration, `${CUT}${ranking.promptId}`, ranking.cut);
    ledger.putRanking({ iteration, rankerId: ranker.id, candidates: item.candidates, ...ranking });
    done += 1;
    ties += ranking.ties.length > 0 ? 1 : 0;
    problems += ranking.problem === undefined ? 0 : 1;
    watch({ kind: 'stage-progress', iteration, stage: 'rank', done, total: rows.length });
    context.signal?.throwIfAborted();
  }
  const cut = countCut(ledger, iteration);
  ledger.putAudit(iteration, 'ranker cut', cut);
  if (cut.prompts + cut.responses > 0) {
    watch({
      kind: 'warning',
      text: `Too long for the ranker and cut before it judged: ${cut.prompts} prompts, ${cut.responses} responses of iteration ${iteration}`,
    });
  }
  return `${done} prompts ranked by ${ranker.id.replace(/(sha256=.{12}).*/, '$1')}, ${ties} with ties${problems > 0 ? `, ${problems} without a verdict` : ''}`;
}
