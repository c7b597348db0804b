/** @file What the two rankers of a run said of the same prompts, from the ledger, and which prompts the second is asked about. */
import { isDeepStrictEqual } from 'node:util';
import { type AgreementTable, preferenceTable } from '../evaluate/agreement.ts';
import { randomKey, uniformAt } from '../random.ts';
import { inDoubt } from '../rank/doubt.ts';
import { placesOf } from '../rank/pairing.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { SecondRankerSections } from '../recipe/second-ranker.ts';
import type { Ledger } from './ledger.ts';
import type { RankingRecord } from './ledger-rows.ts';
import type { RankerIds } from './records.ts';

/**
 * Keeps which rankers a run has now, so that a reader can tell their verdicts apart. Rankers that are the same under another
 * name (a file that was renamed, a version that names them otherwise) take their verdicts along; where they are others,
 * iterations that are finished keep those that they had.
 */
export function putRankers(ledger: Ledger, now: RankerIds, { areTheSame }: { areTheSame: boolean }): void {
  const before = ledger.record(0, 'rankers');
  if (before !== null && !isDeepStrictEqual(before, now)) {
    if (areTheSame) {
      ledger.renameRanker(before.first, now.first);
      if (before.second !== null && now.second !== null) ledger.renameRanker(before.second, now.second);
    } else {
      for (const { iteration, stage, status } of ledger.stages.all()) {
        const isTrained = iteration > 0 && stage === 'train' && status === 'finished';
        if (isTrained && ledger.record(iteration, 'rankers') === null) ledger.putRecord(iteration, 'rankers', before);
      }
    }
  }
  ledger.putRecord(0, 'rankers', now);
}

/** The rankers of an iteration, or null in a ledger that was written before they were kept. */
export function rankersOf(ledger: Ledger, iteration: number): RankerIds | null {
  return ledger.record(iteration, 'rankers') ?? ledger.record(0, 'rankers');
}

/** Verdicts of the first ranker in an iteration. */
export function firstRankings(ledger: Ledger, iteration: number): RankingRecord[] {
  const ids = rankersOf(ledger, iteration);
  return ledger.rankings(iteration).filter(({ rankerId }) => ids === null || rankerId === ids.first);
}

/** Why two rankers judged a prompt. A drawn prompt that is also in doubt counts as drawn: the draw stays random. */
export type OpinionReason = 'drawn' | 'doubt';

/** Whether and why a prompt gets a second opinion; of the recipe, the iteration and the first verdict alone. */
export function opinionReason(
  { seed, secondOpinion }: Pick<Recipe, 'seed' | 'secondOpinion'>,
  first: Omit<RankingRecord, 'rankerId' | 'candidates'>,
): OpinionReason | null {
  if (secondOpinion === null) return null;
  const { share, doubtMargin } = secondOpinion;
  if (uniformAt(randomKey(seed, 'second-opinion', first.iteration, first.promptId), 0) < share) return 'drawn';
  return doubtMargin !== null && inDoubt(first, doubtMargin) ? 'doubt' : null;
}

/** How the comparisons of one iteration's prompts that both rankers judged fell, by why the second was asked. */
export function opinionTables(
  recipe: Pick<Recipe, 'seed'> & SecondRankerSections,
  ledger: Ledger,
  iteration: number,
): Record<OpinionReason, AgreementTable[]> {
  const tables: Record<OpinionReason, AgreementTable[]> = { drawn: [], doubt: [] };
  const ids = rankersOf(ledger, iteration);
  if (ids === null || ids.second === null) return tables;
  const all = ledger.rankings(iteration);
  const selected = ledger.record(iteration, 'selection')?.asked ?? [];
  const drawn = new Set(selected.flatMap(({ promptId, isDrawn }) => (isDrawn ? [promptId] : [])));
  const isSelected = new Set(selected.map(({ promptId }) => promptId));
  const reasonOf = (first: RankingRecord): OpinionReason | null => {
    if (recipe.select === null) return opinionReason(recipe, first);
    if (!isSelected.has(first.promptId)) return null;
    const opinion = recipe.secondOpinion === null ? 'drawn' : opinionReason(recipe, first);
    // Of all prompts a random one is what chance chose both times.
    return opinion === 'drawn' && !drawn.has(first.promptId) ? 'doubt' : opinion;
  };
  const seconds = new Map(all.filter(({ rankerId }) => rankerId === ids.second).map((each) => [each.promptId, each]));
  for (const first of all.filter(({ rankerId }) => rankerId === ids.first)) {
    const second = seconds.get(first.promptId);
    const reason = reasonOf(first);
    if (second === undefined || reason === null) continue;
    if (first.problem !== undefined || second.problem !== undefined) continue;
    tables[reason].push(preferenceTable(comparablePairs(first), placesOf(first), placesAsIn(first, second)));
  }
  return tables;
}

/** The places that a ranking gives to the candidates of another one, which may have judged fewer. */
function placesAsIn({ candidates }: RankingRecord, ranking: RankingRecord): number[] {
  const places = placesOf(ranking);
  return candidates.map(({ kind, sampleIndex }) => {
    const index = ranking.candidates.findIndex((each) => each.kind === kind && each.sampleIndex === sampleIndex);
    return places[index] ?? Number.NaN;
  });
}

/** Pairs of candidates with different texts; equal texts are no comparison. */
function comparablePairs({ candidates }: RankingRecord): [number, number][] {
  return candidates.flatMap(({ text }, a) =>
    candidates.flatMap((other, b): [number, number][] => (b > a && other.text !== text ? [[a, b]] : [])),
  );
}
