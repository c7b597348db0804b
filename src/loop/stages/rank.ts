/** @file The stage that ranks: the policy's responses against the chosen and the rejected one, every verdict kept. */
import type { PreferenceRow } from '../../data/rows.ts';
import type { Candidate, Ranker, RankItem } from '../../rank/ranker.ts';
import type { StageName } from '../../store/events.ts';
import type { Ledger } from '../../store/ledger.ts';
import type { IterationContext } from './stage.ts';

/** Candidates of each row in the order [y..., y_w, y_l], from the ledger's responses and the data. */
export function rankItems(ledger: Ledger, iteration: number, rows: readonly PreferenceRow[]): RankItem[] {
  const sampled = new Map<string, Candidate[]>();
  for (const { promptId, sampleIndex, text } of ledger.responses(iteration)) {
    const known = sampled.get(promptId) ?? [];
    known.push({ kind: 'response', sampleIndex, text });
    sampled.set(promptId, known);
  }
  return rows.map(({ promptId, prompt, chosen, rejected, source }) => {
    const candidates = (sampled.get(promptId) ?? []).sort((a, b) => (a.sampleIndex ?? 0) - (b.sampleIndex ?? 0));
    if (chosen !== null) candidates.push({ kind: 'chosen', sampleIndex: null, text: chosen });
    if (rejected !== null) candidates.push({ kind: 'rejected', sampleIndex: null, text: rejected });
    return { promptId, prompt, candidates, source };
  });
}

/** The questions of an iteration as the ranker is asked them, in the order in which they were chosen. */
export function selectedItems(
  { ledger, recipe, iteration }: Pick<IterationContext, 'ledger' | 'recipe' | 'iteration'>,
  items: readonly RankItem[],
): RankItem[] {
  const selection = recipe.select === null ? null : ledger.record(iteration, 'selection');
  if (selection === null) return [...items];
  const byPrompt = new Map(items.map((item) => [item.promptId, item]));
  return selection.asked.flatMap(({ promptId, answers, reason }) => {
    const item = byPrompt.get(promptId);
    if (item === undefined) return [];
    const candidates = answers === null ? item.candidates : answers.flatMap((index) => item.candidates[index] ?? []);
    return [{ ...item, candidates, why: reason }];
  });
}

async function* stream(items: readonly RankItem[]): AsyncGenerator<RankItem> {
  yield* items;
}

/** Ranks those of the items that the ledger has no verdict of this ranker on, and says what it did. */
export async function rankWith(
  context: IterationContext,
  { stage, ranker, items }: { stage: StageName; ranker: Ranker; items: readonly RankItem[] },
): Promise<string> {
  const { ledger, iteration, announce } = context;
  const own = ledger.rankings(iteration).filter(({ rankerId }) => rankerId === ranker.id);
  const ranked = new Set(own.map(({ promptId }) => promptId));
  const open = items.filter(({ promptId }) => !ranked.has(promptId));
  let done = items.length - open.length;
  const total = items.length;
  announce({ kind: 'stage-started', stage, total, done, unit: 'prompts' });
  const byPrompt = new Map(open.map((item) => [item.promptId, item]));
  let ties = 0;
  let problems = 0;
  for await (const ranking of ranker.rank(stream(open))) {
    const item = byPrompt.get(ranking.promptId);
    if (item === undefined) continue;
    // Before the verdict, under the prompt's own name: an attempt that is cut short and repeated counts it once.
    if (ranking.cut !== undefined) ledger.putCut(iteration, stage, { promptId: ranking.promptId, ...ranking.cut });
    ledger.putRanking({ iteration, rankerId: ranker.id, candidates: item.candidates, ...ranking });
    done += 1;
    ties += ranking.ties.length > 0 ? 1 : 0;
    problems += ranking.problem === undefined ? 0 : 1;
    announce({ kind: 'stage-progress', stage, done, total });
    context.signal?.throwIfAborted();
  }
  const cut = ledger.cuts(iteration, stage);
  if (cut.prompts + cut.responses > 0) {
    announce({
      kind: 'warning',
      text: `Too long for the ranker and cut before it judged: ${cut.prompts} prompts, ${cut.responses} responses of iteration ${iteration}`,
    });
  }
  if (problems > 0) {
    const text = `${problems} of ${total} prompts got no verdict and are left out`;
    announce({ kind: 'warning', text });
  }
  return `${done} prompts ranked by ${ranker.id.replace(/(sha256=.{12}).*/, '$1')}, ${ties} with ties${problems > 0 ? `, ${problems} without a verdict` : ''}`;
}
