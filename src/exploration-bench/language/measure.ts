/**
 * @file What a finished run of a language model says of its method: the true reward of its held-out answers after every
 * iteration against the labels and tokens that it took, and what became of the rare answers on the way.
 */
import { join } from 'node:path';
import { mean } from '../../evaluate/statistics.ts';
import { loadFunctionRanker } from '../../rank/function/function.ts';
import type { BenchmarkScores } from '../../store/benchmark-scores.ts';
import { type Ledger, openLedger } from '../../store/ledger.ts';
import { evaluationsOf, measuredScores } from '../../store/measured.ts';
import type { Prompt } from '../../text/rendering.ts';
import type { Point, RareFate, RunResult } from '../run.ts';
import { type LanguageRun, labelsOfPrompt } from './plan.ts';

/** An answer, and the prompt that it is one to. */
interface Answer {
  readonly prompt: Prompt;
  readonly text: string;
}

/** The reward of answers by the world's own module. */
export type TrueReward = (answers: readonly Answer[]) => Promise<number[]>;

/** Measures a finished run. Throws RankerError where the module of the true reward cannot be used. */
export async function measureRun(
  run: Pick<LanguageRun, 'recipe' | 'truth'>,
  { best, rareFrom, answersOfData }: { best: number; rareFrom: number; answersOfData: number },
): Promise<RunResult> {
  const ranker = await loadFunctionRanker(run.truth);
  try {
    const rewardOf: TrueReward = async (answers) => {
      async function* items() {
        for (const [index, { prompt, text }] of answers.entries()) {
          const candidates = [{ kind: 'response' as const, sampleIndex: 0, text }];
          yield { promptId: String(index), prompt, candidates };
        }
      }
      const rewards: number[] = [];
      for await (const { scores } of ranker.rank(items())) rewards.push(scores?.[0] ?? Number.NaN);
      return rewards;
    };
    using ledger = openLedger(join(run.recipe.output, 'run.db'), { access: 'read' });
    return await resultOf(ledger, {
      labelsOfPrompt: labelsOfPrompt(run.recipe, answersOfData),
      rewardOf,
      best,
      rareFrom,
    });
  } finally {
    await ranker.close();
  }
}

/** The result that a ledger holds. */
export async function resultOf(
  ledger: Ledger,
  given: { labelsOfPrompt: number; rewardOf: TrueReward; best: number; rareFrom: number },
): Promise<RunResult> {
  const { rewardOf, best, rareFrom } = given;
  const isRare = (reward: number): boolean => reward >= rareFrom;
  const benchmarks = measuredScores(ledger);
  const points: Point[] = [];
  const rare = { sampled: 0, paired: 0, chosen: 0 };
  let [labels, sampled, tokens, regret] = [0, 0, 0, 0];
  for (const [iteration, { data, answers }] of evaluationsOf(ledger)) {
    if (iteration > 0) {
      const responses = ledger.responses(iteration);
      const selected = ledger.record(iteration, 'selection')?.asked.length; // prompts that were passed over cost nothing
      const asked = (selected ?? ledger.slice(iteration).length) * given.labelsOfPrompt;
      regret += asked * (best - (points.at(-1)?.reward ?? Number.NaN));
      labels += asked;
      sampled += responses.length;
      tokens += responses.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
      const fate = await fateOf(ledger, { iteration, rewardOf, isRare });
      for (const key of ['sampled', 'paired', 'chosen'] as const) rare[key] += fate[key];
    }
    const rewards = await rewardOf(
      answers.map(({ prompt, text }) => ({ prompt: { kind: 'text', text: prompt }, text })),
    );
    const scores = benchmarks.get(iteration) ?? [];
    points.push({
      labels,
      sampled,
      reward: mean(rewards),
      rareShare: rewards.filter(isRare).length / rewards.length,
      klToBase: data.klToBase?.value ?? 0,
      entropy: null,
      text: {
        tokens,
        distinct2: data.diversity?.distinct[1] ?? Number.NaN,
        soundness: data.textHealth === null ? null : mean(data.textHealth),
        ...(scores.length === 0 ? {} : { benchmarks: mainMetrics(scores) }),
      },
    });
  }
  return { points, rare, best, regret };
}

/** The metric of each benchmark that is usually quoted. */
function mainMetrics(scores: readonly BenchmarkScores[]): Record<string, number> {
  return Object.fromEntries(
    scores.flatMap(({ benchmark, mainMetric, metrics }) => {
      const value = metrics[mainMetric]?.value;
      return value === undefined ? [] : [[benchmark, value]];
    }),
  );
}

/** How many answers of an iteration were rare ones, and in how many pairs they stood. */
async function fateOf(
  ledger: Ledger,
  { iteration, rewardOf, isRare }: { iteration: number; rewardOf: TrueReward; isRare: (reward: number) => boolean },
): Promise<RareFate> {
  const prompts = new Map(ledger.slice(iteration).map(({ promptId, prompt }) => [promptId, prompt]));
  const count = async (answers: readonly { promptId: string; text: string }[]): Promise<number> => {
    const asked = answers.flatMap(({ promptId, text }) => {
      const prompt = prompts.get(promptId);
      return prompt === undefined ? [] : [{ prompt, text }];
    });
    return (await rewardOf(asked)).filter(isRare).length;
  };
  const pairs = ledger.pairs(iteration);
  const chosen = await count(pairs.map(({ promptId, chosen: text }) => ({ promptId, text })));
  const rejected = await count(pairs.map(({ promptId, rejected: text }) => ({ promptId, text })));
  return { sampled: await count(ledger.responses(iteration)), paired: chosen + rejected, chosen };
}
