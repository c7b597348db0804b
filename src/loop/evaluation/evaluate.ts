/**
 * @file The stage that measures a model on held-out prompts: the ranker's rewards, lengths, soundness of the text, and how
 * far the policy went from the base and from the policy before. All models answer with the same random numbers, so that
 * they are compared prompt by prompt.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { diversityOf } from '../../evaluate/diversity.ts';
import type { WinRate } from '../../evaluate/statistics.ts';
import { describeRanker } from '../../rank/open.ts';
import type { EvaluationData } from '../../store/evaluations.ts';
import { evaluationsOf } from '../../store/measured.ts';
import { type WinRates, winRatesOf } from '../../store/win-rates.ts';
import { messageText } from '../../text/message.ts';
import { type IterationContext, runStage } from '../stages/stage.ts';
import { type Answer, answerHeldOut, answerKey } from './answers.ts';
import { divergences } from './divergence.ts';
import { marginsOverPrevious, type Rewards, rewardAnswers } from './rewards.ts';

/** A model to measure. */
export interface EvaluationInput {
  heldOut: readonly PreferenceRow[];
  modelDirectory: string;
  /** The policy of the iteration before; null for the base. */
  previousDirectory: string | null;
  /** For the report: `base`, `iteration 2`. */
  name: string;
}

/** Measures a model, when the recipe has held-out prompts; iteration 0 is the model that training started from. */
export async function evaluateModel(context: IterationContext, input: EvaluationInput): Promise<void> {
  if (input.heldOut.length === 0) return;
  await runStage(context, 'evaluate', () => measure(context, input));
}

async function measure(context: IterationContext, input: EvaluationInput): Promise<string> {
  const { recipe, ledger, ranker, iteration, announce } = context;
  const answers = await answerHeldOut(context, input);
  const { rewards, problems } = await rewardAnswers(context, input.heldOut, answers);
  if (problems > 0) announce({ kind: 'warning', text: `${problems} held-out prompts got no verdict and are left out` });
  const kept = answers.filter((each) => rewards.has(answerKey(each)));
  const overPrevious = await marginsOverPrevious(context, kept);
  if (overPrevious !== null && overPrevious.problems > 0) {
    const text = `${overPrevious.problems} held-out prompts got no verdict against iteration ${iteration - 1} and are left out of that win rate`;
    announce({ kind: 'warning', text });
  }
  const data: EvaluationData = {
    promptIds: kept.map(({ promptId }) => promptId),
    rewards: kept.map((each) => rewards.get(answerKey(each)) ?? Number.NaN),
    lengths: kept.map(({ length }) => length),
    textHealth: await ranker.textHealth(kept.map(({ text }) => text)),
    finishedShare: kept.filter(({ finish }) => finish === 'stop').length / Math.max(1, kept.length),
    diversity: diversityOf(kept.map(({ text }) => text)),
    ...(await divergences(context, kept, {
      base: iteration === 0 ? null : recipe.model,
      previous: input.previousDirectory,
    })),
    marginsOverPrevious: overPrevious === null ? null : kept.map((each) => marginOf(overPrevious, each)),
    greedy: await greedyRewards(context, input),
  };
  const by = describeRanker(recipe.ranker);
  ledger.putRecord(iteration, 'evaluation', {
    name: input.name,
    rewardName: ranker.gives === 'scores' ? `score of ${by}` : `margin over the base's answer by ${by}`,
    data,
    answers: kept.map(({ promptId, row, text }) => ({ promptId, prompt: promptText(row), text })),
  });
  const mean = data.rewards.reduce((sum, reward) => sum + reward, 0) / Math.max(1, data.rewards.length);
  const rates = winRatesOf(evaluationsOf(ledger), { iteration, seed: recipe.seed });
  if (iteration > 0) ledger.putRecord(iteration, 'win-rates', rates);
  return `mean reward ${mean.toFixed(4)} of ${data.rewards.length} answers by ${input.name}${describeRates(rates, iteration)}`;
}

/** What the model answers without chance is worth, where the recipe asks for it and the answers are not greedy already. */
async function greedyRewards(context: IterationContext, input: EvaluationInput): Promise<EvaluationData['greedy']> {
  const { recipe, ranker, iteration, announce } = context;
  const { greedy, temperature } = recipe.evaluate;
  if (!greedy || temperature === 0) return null;
  if (ranker.gives !== 'scores') {
    const text = `evaluate.greedy has no effect: ${describeRanker(recipe.ranker)} compares responses, and gives none a reward of its own`;
    if (iteration === 0) announce({ kind: 'warning', text });
    return null;
  }
  const answers = await answerHeldOut(context, input, { samples: 1, temperature: 0 });
  const { rewards } = await rewardAnswers(context, input.heldOut, answers);
  const kept = answers.filter((each) => rewards.has(answerKey(each)));
  return {
    promptIds: kept.map(({ promptId }) => promptId),
    rewards: kept.map((each) => rewards.get(answerKey(each)) ?? Number.NaN),
  };
}

function marginOf({ rewards }: Rewards, answer: Answer): number {
  return rewards.get(answerKey(answer)) ?? Number.NaN;
}

/** `; win rate 0.612 [0.550, 0.671] over the base, 0.540 [0.480, 0.601] over iteration 1, n = 128 prompts`. */
function describeRates({ base, previous }: WinRates, iteration: number): string {
  const text = ({ value, low, high }: WinRate): string => `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
  if (base === null) return '';
  const before = previous === null ? '' : `, ${text(previous)} over iteration ${iteration - 1}`;
  return `; win rate ${text(base)} over the base${before}, n = ${base.count} prompts`;
}

function promptText({ prompt }: PreferenceRow): string {
  if (prompt.kind === 'text') return prompt.text;
  const [only] = prompt.messages;
  if (only !== undefined && prompt.messages.length === 1) return messageText(only);
  return prompt.messages.map((message) => `${message.role}: ${messageText(message)}`).join('\n');
}
