/** @file Pairs of the ledger as token trees, under the recipe's rendering; what the policy sampled comes with its very ids. */
import type { PreferenceRow } from '../../data/rows.ts';
import { DataError } from '../../errors.ts';
import { type PairResponse, renderPair } from '../../text/rendering.ts';
import { buildTreeOfSequences, type PairTree } from '../../train/trees.ts';
import type { CandidateOrigin, ResponseRecord, StoredPair } from '../ledger.ts';
import type { IterationContext } from './stage.ts';

/** How many sequences had to be cut to fit text.maxLength. */
export interface TokenCounts {
  promptsCut: number;
  responsesCut: number;
}

/** Trees of pairs; `withResponse` when the objective has a term for the policy's own response. */
export function tokenisePairs(
  context: IterationContext,
  pairs: readonly StoredPair[],
  options: { rows: ReadonlyMap<string, PreferenceRow>; withResponse: boolean },
): { trees: PairTree[]; counts: TokenCounts } {
  const { recipe, ledger, tokenizer } = context;
  const counts: TokenCounts = { promptsCut: 0, responsesCut: 0 };
  const sampled = new Map<string, ResponseRecord>();
  for (const iteration of new Set(pairs.map((pair) => pair.iteration))) {
    for (const response of ledger.responses(iteration))
      sampled.set(sampleKey(iteration, response.promptId, response.sampleIndex), response);
  }
  const responseOf = (pair: StoredPair, text: string, from: CandidateOrigin): PairResponse => {
    const sample =
      from.kind === 'response'
        ? sampled.get(sampleKey(pair.iteration, pair.promptId, from.sampleIndex ?? 0))
        : undefined;
    return { text, sampledIds: sample?.tokenIds };
  };
  const trees = pairs.map((pair) => {
    const row = options.rows.get(pair.promptId);
    if (row === undefined) {
      throw new DataError(
        'PROMPT_GONE',
        `Cannot train pair ${pair.pairId}: the data no longer hold its prompt ${pair.promptId}: restore the data files`,
      );
    }
    const own = options.withResponse ? pair.response : null;
    const { promptCut, responsesCut, ...sequences } = renderPair(
      tokenizer,
      {
        prompt: row.prompt,
        chosen: responseOf(pair, pair.chosen, pair.chosenFrom),
        rejected: responseOf(pair, pair.rejected, pair.rejectedFrom),
        response: own === null ? null : responseOf(pair, own, { kind: 'response', sampleIndex: 0 }),
      },
      recipe.text,
    );
    counts.promptsCut += promptCut ? 1 : 0;
    counts.responsesCut += responsesCut;
    return buildTreeOfSequences(pair.pairId, sequences);
  });
  return { trees, counts };
}

function sampleKey(iteration: number, promptId: string, sampleIndex: number): string {
  return `${iteration}/${sampleIndex}/${promptId}`;
}
