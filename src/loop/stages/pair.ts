/**
 * @file The stage that pairs: it applies the recipe's rule to each prompt's candidates, and counts the prompts that
 * gave no pair.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { RunError } from '../../errors.ts';
import { sha256 } from '../../files/hash.ts';
import { CERTAIN_LABEL } from '../../objective/soft-label.ts';
import { drawsFrom, randomKey } from '../../random.ts';
import {
  marginWeights,
  type Pairing,
  type PairOptions,
  type PairRule,
  rankedPairs,
  ruleNeeds,
  sampleAt,
  unrankedPairs,
} from '../../rank/pairing.ts';
import type { RankItem } from '../../rank/ranker.ts';
import { learnsFromLabels } from '../../recipe/objective.ts';
import type { Calibration } from '../../select/calibration.ts';
import type { Ledger } from '../../store/ledger.ts';
import type { PairRecord, RankingRecord } from '../../store/ledger-rows.ts';
import { calibrationOf } from './calibration.ts';
import { rankItems } from './rank.ts';
import { exploredSample } from './sample.ts';
import type { IterationContext } from './stage.ts';

/** Rules that draw. */
const DRAWING: ReadonlySet<PairRule> = new Set<PairRule>(['random', 'best-over-random']);

/** Name of a pair: the same run makes the same names again. `index`: of the pairs of one prompt. */
function pairIdOf(iteration: number, promptId: string, index: number): string {
  return sha256(index === 0 ? `${iteration}\n${promptId}` : `${iteration}\n${promptId}\n${index}`).slice(0, 16);
}

function recordOf(
  iteration: number,
  row: PreferenceRow,
  pairing: Extract<Pairing, { kind: 'pair' }>,
  { rankerId, index }: { rankerId: string | null; index: number },
): PairRecord {
  const { chosen, rejected, response } = pairing;
  return {
    pairId: pairIdOf(iteration, row.promptId, index),
    iteration,
    promptId: row.promptId,
    chosen: chosen.text,
    rejected: rejected.text,
    response: response?.text ?? null,
    chosenFrom: { kind: chosen.kind, sampleIndex: chosen.sampleIndex },
    rejectedFrom: { kind: rejected.kind, sampleIndex: rejected.sampleIndex },
    rankerId,
    scoreChosen: pairing.scoreChosen,
    scoreRejected: pairing.scoreRejected,
    label: pairing.label,
    source: row.source,
  };
}

/**
 * The verdict that makes each prompt's pair: the first ranker's; or the second's, where it has one and decides, or where the
 * first was not asked or had none.
 */
function decidingRankings({
  recipe,
  ledger,
  iteration,
  ranker,
  secondRanker,
}: IterationContext): Map<string, RankingRecord> {
  const all = ledger.rankings(iteration);
  const deciding = new Map(
    all.filter(({ rankerId }) => rankerId === ranker.id).map((ranking) => [ranking.promptId, ranking]),
  );
  if (secondRanker === null) return deciding;
  const seconds = all.filter(({ rankerId, problem }) => rankerId === secondRanker.id && problem === undefined);
  for (const ranking of seconds) {
    const first = deciding.get(ranking.promptId);
    // Where questions are selected, a prompt that the first has no verdict on is one that it was not asked about.
    const isMissing = first === undefined || (recipe.select !== null && first.problem !== undefined);
    if (isMissing || recipe.secondOpinion?.decides === 'second') deciding.set(ranking.promptId, ranking);
  }
  return deciding;
}

/** Writes the iteration's pairs to the ledger: from its rankings, or in iteration 0 from the data. */
export async function pairResponses(context: IterationContext, rows: readonly PreferenceRow[]): Promise<string> {
  const { recipe, ledger, iteration, announce, secondRanker } = context;
  const skipped = new Map<string, number>();
  const from = new Map<string, number>();
  const add = (counts: Map<string, number>, what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
  const records: PairRecord[] = [];
  let sharedPlaces = 0;
  // The warm start (iteration 0) trains on the data's own pairs.
  const rule = iteration === 0 ? 'keep' : recipe.update;
  const { minMargin, labels } = recipe;
  const pairWeights = iteration === 0 ? 'equal' : recipe.pairWeights;
  const options = { minMargin, labels, pairWeights };
  const rankings = decidingRankings(context);
  const slope = keepCalibration(context)?.slope ?? 1;
  const logProbs = recipe.update === 'diverse' ? logProbsByPrompt(ledger, iteration) : new Map<string, never>();
  const rowOf = new Map(rows.map((row) => [row.promptId, row]));
  for (const item of rankItems(ledger, iteration, rows)) {
    const row = rowOf.get(item.promptId);
    if (row === undefined) continue;
    const ranking = rankings.get(item.promptId) ?? null;
    const chance = DRAWING.has(recipe.update)
      ? { draw: drawsFrom(randomKey(recipe.seed, 'pair', iteration, row.promptId)) }
      : {};
    const known = logProbs.get(row.promptId);
    // Of all that was sampled, also where two answers were ranked.
    const explored = sampleAt(item.candidates, exploredSample(recipe));
    const trust = ranking !== null && ranking.rankerId === secondRanker?.id ? slope : 1;
    const own = { ...options, ...chance, explored, trust, ...(known === undefined ? {} : { logProbs: known }) };
    if (ranking === null && recipe.select !== null && ruleNeeds(rule).ranking) {
      add(skipped, 'not asked about');
      continue;
    }
    const pairings = pairingsOf(item, { rule, ranking }, own);
    for (const [index, pairing] of pairings.entries()) {
      if (pairing.kind === 'skipped') add(skipped, pairing.reason);
      else {
        sharedPlaces += pairing.sharesPlace ? 1 : 0;
        records.push(recordOf(iteration, row, pairing, { rankerId: ranking?.rankerId ?? null, index }));
      }
    }
  }
  ledger.putPairs(pairWeights === 'margin' ? weighedByMargin(records) : records);
  for (const { chosenFrom, rejectedFrom } of records) add(from, `${chosenFrom.kind} over ${rejectedFrom.kind}`);
  const pairs = records.length;
  const needsPairs = iteration === 0 || !learnsFromLabels(recipe.objective.preference);
  if (pairs === 0 && needsPairs) {
    const reasons = [...skipped].map(([reason, count]) => `${count} ${reason}`).join(', ');
    throw new RunError(
      'NO_PAIRS',
      `Cannot train iteration ${iteration}: its ${rows.length} prompts gave no pair (${reasons}): raise sampling.temperature and sampling.samples, or look at the ranker's scores`,
      { details: { iteration, skipped: Object.fromEntries(skipped) } },
    );
  }
  ledger.putRecord(iteration, 'pair-counts', {
    pairs,
    from: Object.fromEntries(from),
    skipped: Object.fromEntries(skipped),
    sharedPlaces,
  });
  const counts = [...from].map(([what, count]) => `${count} ${what}`).join(', ');
  const left = [...skipped].map(([reason, count]) => `${count} left out: ${reason}`).join(', ');
  announce({ kind: 'note', text: `Pairs of iteration ${iteration}: ${counts}${left === '' ? '' : `; ${left}`}` });
  return `${pairs} pairs`;
}

/**
 * How far soft labels of the other ranker are to be trusted, by what the first said of the same prompts, kept and told; null where
 * labels are hard, or nothing was asked in order to learn it.
 */
function keepCalibration(context: IterationContext): Calibration | null {
  const { recipe, ledger, iteration, announce } = context;
  const calibration = recipe.labels === 'soft' && iteration > 0 ? calibrationOf(context) : null;
  if (calibration === null) return null;
  ledger.putRecord(iteration, 'calibration', calibration);
  const { slope, deviation, comparisons } = calibration;
  announce({
    kind: 'note',
    text: `The log-odds of the other ranker count ${slope.toFixed(2)} times (deviation ${deviation.toFixed(2)}), by ${comparisons} comparisons that both judged`,
  });
  return calibration;
}

/** The same pairs, each with the weight of its margin on top of its label's. */
function weighedByMargin(pairs: readonly PairRecord[]): PairRecord[] {
  const weights = marginWeights(
    pairs.map(({ scoreChosen, scoreRejected }) => (scoreChosen ?? 0) - (scoreRejected ?? 0)),
  );
  return pairs.map((pair, index) => {
    const { probability, weight } = pair.label ?? CERTAIN_LABEL;
    return { ...pair, label: { probability, weight: weight * (weights[index] ?? 1) } };
  });
}

/** Mean log-probability a token of each sample, as the policy gave it, by prompt and index. */
function logProbsByPrompt(ledger: Ledger, iteration: number): Map<string, Map<number, number>> {
  const byPrompt = new Map<string, Map<number, number>>();
  for (const { promptId, sampleIndex, logProb, tokenIds } of ledger.responses(iteration)) {
    const known = byPrompt.get(promptId) ?? new Map<number, number>();
    byPrompt.set(promptId, known.set(sampleIndex, logProb / Math.max(1, tokenIds.length)));
  }
  return byPrompt;
}

/** What the rule makes of one prompt. */
function pairingsOf(
  item: RankItem,
  { rule, ranking }: { rule: PairRule; ranking: RankingRecord | null },
  options: PairOptions,
): Pairing[] {
  if (rule === 'keep' || rule === 'data-over-response') return unrankedPairs(item, rule, options);
  if (ranking === null) throw new Error(`Prompt ${item.promptId} was not ranked`);
  return rankedPairs({ ...item, candidates: [...ranking.candidates] }, ranking, rule, options);
}
