/** @file Pairs of the ledger as token trees, under the recipe's rendering; what the policy sampled comes with its very ids. */
import type { PreferenceRow } from '../../data/rows.ts';
import { DataError } from '../../errors.ts';
import type { ObjectiveOptions } from '../../objective/objective.ts';
import type { WinProbabilities } from '../../objective/preference.ts';
import { winProbabilities } from '../../rank/win-probability.ts';
import { buildTreeOfSequences, type PairTree } from '../../score/trees.ts';
import type { Ledger } from '../../store/ledger.ts';
import type { CandidateOrigin, ResponseRecord, StoredPair } from '../../store/ledger-rows.ts';
import { type PairResponse, renderPairs, scoresTheSame } from '../../text/rendering.ts';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';
import { exploredSample } from './sample.ts';
import type { IterationContext } from './stage.ts';

/** How many sequences had to be cut to fit text.maxLength, and how many pairs were left out as they became equal by it. */
export interface TokenCounts {
  promptsCut: number;
  responsesCut: number;
  equalPairs: number;
}

/** Trees of pairs; with y and the ranker's win probabilities where the objective asks for them. */
export function tokenisePairs(
  context: IterationContext,
  pairs: readonly StoredPair[],
  options: { rows: ReadonlyMap<string, PreferenceRow>; objective: ObjectiveOptions },
): { trees: PairTree[]; counts: TokenCounts } {
  const { recipe, ledger, tokenizer } = context;
  const counts: TokenCounts = { promptsCut: 0, responsesCut: 0, equalPairs: 0 };
  const responseOf = responsesToScore(context, new Set(pairs.map(({ iteration }) => iteration)));
  const { preference, exploration } = options.objective;
  const withResponse = exploration.kind !== 'none';
  const probabilitiesOf =
    preference.kind === 'sppo' && preference.targets === 'ranker' ? pairProbabilities(ledger, pairs) : null;
  const explored: CandidateOrigin = { kind: 'response', sampleIndex: exploredSample(recipe) };
  const placed = pairs.map((pair) => {
    const row = rowOf(options.rows, pair.promptId, `pair ${pair.pairId}`);
    const place = { ...pair, row };
    const own = withResponse ? pair.response : null;
    return {
      ...{ pair, row, prompt: row.prompt },
      chosen: responseOf(place, pair.chosen, pair.chosenFrom),
      rejected: responseOf(place, pair.rejected, pair.rejectedFrom),
      response: own === null ? null : responseOf(place, own, explored),
    };
  });
  const trees = renderPairs(tokenizer, placed, recipe.text).flatMap(({ texts: { pair, row }, rendered }) => {
    const { promptCut, responsesCut, ...sequences } = rendered;
    counts.promptsCut += promptCut ? 1 : 0;
    counts.responsesCut += responsesCut;
    if (scoresTheSame(sequences.chosen, sequences.rejected)) {
      counts.equalPairs += 1;
      return [];
    }
    const winProbabilities = probabilitiesOf?.(pair) ?? null;
    const tree = buildTreeOfSequences(pair.pairId, { ...sequences, winProbabilities, label: pair.label });
    return [row.dataset === undefined ? tree : { ...tree, dataset: row.dataset }];
  });
  return { trees, counts };
}

/** The row of a prompt. Throws DataError PROMPT_GONE, with `what` is trained on it. */
export function rowOf(rows: ReadonlyMap<string, PreferenceRow>, promptId: string, what: string): PreferenceRow {
  const row = rows.get(promptId);
  if (row !== undefined) return row;
  throw new DataError(
    'PROMPT_GONE',
    `Cannot train ${what}: the data no longer hold its prompt ${promptId}: restore the data files`,
  );
}

/** Where a text that is trained on was said. */
interface TextPlace {
  iteration: number;
  promptId: string;
  row: PreferenceRow;
}

/** Texts as they are scored, by where each comes from: what was sampled in these iterations with its ids. */
export function responsesToScore(
  { ledger, tokenizer }: Pick<IterationContext, 'ledger' | 'tokenizer'>,
  iterations: ReadonlySet<number>,
): (place: TextPlace, text: string, from: CandidateOrigin) => PairResponse {
  const sampled = new Map<string, ResponseRecord>();
  for (const iteration of iterations) {
    for (const response of ledger.responses(iteration))
      sampled.set(sampleKey(iteration, response.promptId, response.sampleIndex), response);
  }
  return ({ iteration, promptId, row }, text, from) => {
    if (from.kind === 'edit') return { text };
    if (from.kind !== 'response')
      return { text, message: from.kind === 'chosen' ? row.chosenMessage : row.rejectedMessage };
    const sample = sampled.get(sampleKey(iteration, promptId, from.sampleIndex ?? 0));
    return { text, sampledIds: sample === undefined ? undefined : endedIds(sample, tokenizer) };
  };
}

/** The ranker's win probabilities of a pair's two responses; null for a pair that no ranker judged. */
function pairProbabilities(
  ledger: Ledger,
  pairs: readonly StoredPair[],
): (pair: StoredPair) => WinProbabilities | null {
  const keyOf = (iteration: number, promptId: string, rankerId: string): string =>
    `${iteration}/${promptId}/${rankerId}`;
  const rankings = new Map(
    [...new Set(pairs.map((pair) => pair.iteration))].flatMap((iteration) =>
      ledger.rankings(iteration).map((ranking) => [keyOf(iteration, ranking.promptId, ranking.rankerId), ranking]),
    ),
  );
  return ({ iteration, promptId, rankerId, chosenFrom, rejectedFrom }) => {
    const ranking = rankerId === null ? undefined : rankings.get(keyOf(iteration, promptId, rankerId));
    if (ranking === undefined) return null;
    const { candidates } = ranking;
    const probabilities = winProbabilities({ candidates }, ranking);
    const at = ({ kind, sampleIndex }: CandidateOrigin): number | undefined =>
      probabilities[candidates.findIndex((each) => each.kind === kind && each.sampleIndex === sampleIndex)];
    const [chosen, rejected] = [at(chosenFrom), at(rejectedFrom)];
    return chosen === undefined || rejected === undefined ? null : { chosen, rejected };
  };
}

/** What is scored of a sample: its ids, with an end token where a stop text ended it, so that the policy learns to end there. */
function endedIds({ tokenIds, finish }: ResponseRecord, { stopIds, eosId }: Tokenizer): Int32Array {
  const hasEnd = stopIds.includes(tokenIds.at(-1) ?? -1);
  return finish === 'length' || hasEnd ? tokenIds : Int32Array.from([...tokenIds, eosId]);
}

function sampleKey(iteration: number, promptId: string, sampleIndex: number): string {
  return `${iteration}/${sampleIndex}/${promptId}`;
}
