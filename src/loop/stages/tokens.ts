/** @file Pairs of the ledger as token trees: what the policy sampled keeps the very ids that it sampled. */
import type { PreferenceRow } from '../../data/rows.ts';
import { DataError } from '../../errors.ts';
import { renderPrompt, renderResponse } from '../../text/rendering.ts';
import { truncate } from '../../text/truncation.ts';
import { buildTree, type PairTree } from '../../train/trees.ts';
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
  const idsOf = (pair: StoredPair, row: PreferenceRow, text: string, from: CandidateOrigin): number[] => {
    const sample =
      from.kind === 'response'
        ? sampled.get(sampleKey(pair.iteration, pair.promptId, from.sampleIndex ?? 0))
        : undefined;
    return sample === undefined
      ? renderResponse(tokenizer, row.prompt, text, recipe.text.rendering)
      : Array.from(sample.tokenIds);
  };
  const trees = pairs.map((pair) => {
    const row = options.rows.get(pair.promptId);
    if (row === undefined) {
      throw new DataError(
        'PROMPT_GONE',
        `Cannot train pair ${pair.pairId}: the data no longer hold its prompt ${pair.promptId}: restore the data files`,
      );
    }
    const responses = [
      idsOf(pair, row, pair.chosen, pair.chosenFrom),
      idsOf(pair, row, pair.rejected, pair.rejectedFrom),
    ];
    if (options.withResponse && pair.response !== null) {
      responses.push(idsOf(pair, row, pair.response, { kind: 'response', sampleIndex: 0 }));
    }
    const cut = truncate(
      { promptIds: renderPrompt(tokenizer, row.prompt, recipe.text.rendering), responses },
      { ...recipe.text, bosId: tokenizer.bosId },
    );
    counts.promptsCut += cut.promptCut ? 1 : 0;
    counts.responsesCut += cut.responsesCut.filter(Boolean).length;
    const [chosenIds = [], rejectedIds = [], responseIds] = cut.responses;
    return buildTree({
      pairId: pair.pairId,
      promptIds: Int32Array.from(cut.promptIds),
      chosenIds: Int32Array.from(chosenIds),
      rejectedIds: Int32Array.from(rejectedIds),
      responseIds: responseIds === undefined ? null : Int32Array.from(responseIds),
    });
  });
  return { trees, counts };
}

function sampleKey(iteration: number, promptId: string, sampleIndex: number): string {
  return `${iteration}/${sampleIndex}/${promptId}`;
}
