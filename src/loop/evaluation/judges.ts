/** @file What the measures by a judge share: the judge under a protocol's settings, and a model whose outputs it sees. */
import type { OutputModel } from '../../evaluate/outputs.ts';
import { openRanker } from '../../rank/open.ts';
import type { Ranker } from '../../rank/ranker.ts';
import type { AnswerStore, RankerServices, Spending } from '../../rank/services.ts';
import type { JudgePlace } from '../../recipe/evaluate.ts';
import { loadRanker } from '../../recipe/load.ts';
import type { Ledger } from '../../store/ledger.ts';
import type { IterationContext } from '../stages/stage.ts';
import { answersOfRun, sharedAnswers } from './benchmark-answers.ts';
import { openSharedOutputs } from './output-work.ts';

/** Opens a judge under a protocol's settings; what it does not answer is dropped and named. RecipeError, RankerError. */
export function openProtocolJudge(
  judge: JudgePlace,
  protocol: { temperature: number; maxTokens: number; ask: Record<string, unknown> },
  services: RankerServices,
): Promise<Ranker> {
  return openRanker(loadRanker({ kind: 'judge', ...judge, onError: 'drop', ...protocol }), services);
}

/** The ledger as a store of a judge's answers, whose budget is one for all measures, however differently they ask. */
export function judgeAnswers(ledger: Ledger): AnswerStore {
  return {
    get: (key) => ledger.answers.get(key),
    put: (key, answer) => ledger.answers.put(key, answer),
    spent(rankerId) {
      const known = ledger.record(0, 'measure-judges')?.ids ?? [];
      const ids = [...new Set([...known, rankerId])];
      if (ids.length > known.length) ledger.putRecord(0, 'measure-judges', { ids });
      return ids.map((id) => ledger.answers.spent(id)).reduce(sumOf);
    },
  };
}

function sumOf(a: Spending, b: Spending): Spending {
  return {
    calls: a.calls + b.calls,
    promptTokens: a.promptTokens + b.promptTokens,
    completionTokens: a.completionTokens + b.completionTokens,
  };
}

/** Opens a model for as long as `body` asks it; its outputs are kept in the run. */
export async function withOutputs<Result>(
  { recipe, ledger, team, announce, signal }: IterationContext,
  directory: string,
  body: (model: OutputModel) => Promise<Result>,
): Promise<Result> {
  const store = answersOfRun(ledger, sharedAnswers(announce));
  try {
    const model = await openSharedOutputs(directory, { team, store, signal, device: recipe.device });
    try {
      return await body(model);
    } finally {
      model.dispose();
    }
  } finally {
    store.close();
  }
}
