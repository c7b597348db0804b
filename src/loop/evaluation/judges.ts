/** @file What the measures by a judge share: the judge under a protocol's settings, and a model whose outputs it sees. */
import { type OutputModel, openOutputModel } from '../../evaluate/outputs.ts';
import { openRanker } from '../../rank/open.ts';
import type { Ranker } from '../../rank/ranker.ts';
import type { RankerServices } from '../../rank/services.ts';
import { loadRanker } from '../../recipe/load.ts';
import type { AlpacaSettings } from '../../recipe/schema.ts';
import type { IterationContext } from '../stages/stage.ts';
import { answersOfRun, sharedAnswers } from './benchmark-answers.ts';

/** Where a judge is and what it may use, as `evaluate.alpaca.judge` and `evaluate.mtBench.judge` have it. */
export type JudgePlace = Omit<AlpacaSettings['judge'], 'read'>;

/** Opens a judge under a protocol's settings; what it does not answer is dropped and named. RecipeError, RankerError. */
export function openProtocolJudge(
  judge: JudgePlace,
  protocol: { temperature: number; maxTokens: number; ask: Record<string, unknown> },
  services: RankerServices,
): Promise<Ranker> {
  return openRanker(loadRanker({ kind: 'judge', ...judge, onError: 'drop', ...protocol }), services);
}

/** Opens a model for as long as `body` asks it; its outputs are kept in the run. */
export async function withOutputs<Result>(
  { recipe, ledger, announce, signal }: IterationContext,
  directory: string,
  body: (model: OutputModel) => Promise<Result>,
): Promise<Result> {
  const store = answersOfRun(ledger, sharedAnswers(announce));
  try {
    const model = await openOutputModel(directory, { store, signal, device: recipe.device });
    try {
      return await body(model);
    } finally {
      model.dispose();
    }
  } finally {
    store.close();
  }
}
