/**
 * @file The stage that measures a model on held-out prompts: the ranker's rewards, lengths, soundness of the text, and how
 * far the policy went from the base and from the policy before. All models answer with the same random numbers, so that
 * they are compared prompt by prompt. A ranker whose scores hold among the candidates of one prompt only compares each
 * answer with the base's, and its margin is the reward.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { diversityOf } from '../../evaluate/diversity.ts';
import { type Interval, klEstimate } from '../../evaluate/statistics.ts';
import { withModel } from '../../model/load.ts';
import { longAfter } from '../../model/rope.ts';
import { randomKey } from '../../random.ts';
import { describeRanker } from '../../rank/open.ts';
import type { Candidate, RankItem, Ranking, Verdict } from '../../rank/ranker.ts';
import { type GeneratedResponse, generate } from '../../sample/generate.ts';
import { openSampler } from '../../sample/sampler.ts';
import { scoreTrees } from '../../score/log-probs.ts';
import { microBatches } from '../../score/packing.ts';
import { openPolicy } from '../../score/policy.ts';
import { buildTree } from '../../score/trees.ts';
import type { Evaluation, EvaluationData } from '../../store/evaluations.ts';
import { renderSamplingPrompt } from '../../text/rendering.ts';
import { generateOptions, responseOf } from './responses.ts';
import { type IterationContext, runStage } from './stage.ts';

interface Answer extends GeneratedResponse {
  row: PreferenceRow;
  promptIds: Int32Array;
  /** Up to a stop text. */
  text: string;
  /** Tokens of the text, without an end token. */
  length: number;
  /** All that was sampled, the end token included and what a stop text cut off too: `logProb` is theirs. */
  sampledIds: Int32Array;
}

/** Measures a model, when the recipe has held-out prompts; iteration 0 is the model that training started from. */
export async function evaluateModel(
  context: IterationContext,
  input: {
    heldOut: readonly PreferenceRow[];
    modelDirectory: string;
    previousDirectory: string | null;
    name: string;
  },
): Promise<void> {
  const { recipe, ledger, ranker, iteration, announce } = context;
  const rows = input.heldOut;
  if (rows.length === 0) return;
  await runStage(context, 'evaluate', async () => {
    const answers = await answer(context, rows, input.modelDirectory);
    const { rewards, problems } = await scoreAnswers(context, rows, answers);
    if (problems > 0)
      announce({ kind: 'warning', text: `${problems} held-out prompts got no verdict and are left out` });
    const kept = answers.filter((each) => rewards.has(keyOf(each)));
    const data: EvaluationData = {
      promptIds: kept.map((each) => each.promptId),
      rewards: kept.map((each) => rewards.get(keyOf(each)) ?? Number.NaN),
      lengths: kept.map(({ length }) => length),
      textHealth: await ranker.textHealth(kept.map((each) => each.text)),
      finishedShare: kept.filter((each) => each.finish === 'stop').length / Math.max(1, kept.length),
      diversity: diversityOf(kept.map((each) => each.text)),
      klToBase: iteration === 0 ? null : klTo(context, kept, recipe.model),
      klToPrevious: input.previousDirectory === null ? null : klTo(context, kept, input.previousDirectory),
    };
    const shown = kept.map(({ promptId, row, text }) => ({ promptId, prompt: promptText(row), text }));
    const by = describeRanker(recipe.ranker);
    const rewardName = ranker.gives === 'scores' ? `score of ${by}` : `margin over the base's answer by ${by}`;
    const evaluation: Evaluation = { name: input.name, rewardName, data, answers: shown };
    ledger.putRecord(iteration, 'evaluation', evaluation);
    const mean = data.rewards.reduce((sum, reward) => sum + reward, 0) / Math.max(1, data.rewards.length);
    return `mean reward ${mean.toFixed(4)} of ${data.rewards.length} answers by ${input.name}`;
  });
}

function keyOf({ promptId, sampleIndex }: { promptId: string; sampleIndex: number }): string {
  return `${promptId}/${sampleIndex}`;
}

function promptText({ prompt }: PreferenceRow): string {
  return prompt.kind === 'text'
    ? prompt.text
    : prompt.messages.map(({ role, content }) => `${role}: ${content}`).join('\n');
}

async function answer(
  context: IterationContext,
  rows: readonly PreferenceRow[],
  modelDirectory: string,
): Promise<Answer[]> {
  const { recipe, tokenizer, announce } = context;
  const { samples, temperature, maxNewTokens } = recipe.evaluate;
  const byId = new Map(
    rows.map((row) => {
      const promptIds = renderSamplingPrompt(tokenizer, row.prompt, recipe.text);
      return [row.promptId, { row, promptIds: Int32Array.from(promptIds) }];
    }),
  );
  const requests = [...byId].map(([promptId, { promptIds }]) => ({
    promptId,
    promptIds: Array.from(promptIds),
    samples: Array.from({ length: samples }, (_, sampleIndex) => ({
      sampleIndex,
      key: randomKey(recipe.seed, 'evaluate', promptId, sampleIndex),
    })),
  }));
  const total = requests.length * samples;
  announce({ kind: 'stage-started', stage: 'evaluate', total, done: 0, unit: 'answers' });
  const sampler = withModel(modelDirectory, openSampler, recipe);
  const answers: Answer[] = [];
  try {
    const { stop } = recipe.sampling;
    const options = generateOptions(context, { temperature, maxNewTokens });
    for await (const response of generate(sampler, requests, options)) {
      const known = byId.get(response.promptId);
      if (known !== undefined) {
        const { text, ids } = responseOf(tokenizer, response, stop);
        const { tokenIds, endId } = response;
        const sampledIds = Int32Array.from(endId === null ? tokenIds : [...tokenIds, endId]);
        answers.push({ ...response, ...known, text, length: Math.min(ids.length, tokenIds.length), sampledIds });
      }
      announce({ kind: 'stage-progress', stage: 'evaluate', done: answers.length, total });
    }
  } finally {
    sampler.dispose();
  }
  // In order of the prompts, whatever order they finished in.
  const order = new Map(rows.map((row, index) => [row.promptId, index]));
  return answers.sort(
    (a, b) => (order.get(a.promptId) ?? 0) - (order.get(b.promptId) ?? 0) || a.sampleIndex - b.sampleIndex,
  );
}

/** An item for the ranker, and the keys of the answers that its verdict is about. */
interface Question {
  item: RankItem;
  keys: string[];
}

const candidateOf = ({ sampleIndex, text }: Pick<Answer, 'sampleIndex' | 'text'>): Candidate => ({
  kind: 'response',
  sampleIndex,
  text,
});

/** The reward of each answer, by key, and how many questions got no verdict. */
async function scoreAnswers(
  context: IterationContext,
  rows: readonly PreferenceRow[],
  answers: readonly Answer[],
): Promise<{ rewards: Map<string, number>; problems: number }> {
  const { ranker, iteration } = context;
  if (ranker.gives !== 'scores' && iteration === 0) {
    return { rewards: new Map(answers.map((each) => [keyOf(each), 0])), problems: 0 };
  }
  const questions = ranker.gives === 'scores' ? byPrompt(rows, answers) : againstBase(context, answers);
  const keysOf = new Map(questions.map(({ item, keys }) => [item.promptId, keys]));
  const stream = async function* (): AsyncGenerator<RankItem> {
    for (const { item } of questions) yield item;
  };
  const rewards = new Map<string, number>();
  let problems = 0;
  for await (const ranking of ranker.rank(stream())) {
    const keys = ranking.problem === undefined ? (keysOf.get(ranking.promptId) ?? []) : [];
    if (ranking.problem !== undefined) problems += 1;
    for (const [index, key] of keys.entries()) rewards.set(key, rewardOf(ranking, ranker.gives, index));
  }
  return { rewards, problems };
}

/** The ranker's own score; where its scores hold within an item only, the margin of the answer over the base's. */
function rewardOf({ scores, order, ties }: Ranking, gives: Verdict, index: number): number {
  switch (gives) {
    case 'scores':
      return scores?.[index] ?? Number.NaN;
    case 'comparisons':
      return (scores?.[0] ?? Number.NaN) - (scores?.[1] ?? Number.NaN);
    case 'order':
      return ties.length > 0 ? 0 : order[0] === 0 ? 1 : -1;
  }
}

function byPrompt(rows: readonly PreferenceRow[], answers: readonly Answer[]): Question[] {
  return rows.map(({ promptId, prompt }) => {
    const own = answers.filter((each) => each.promptId === promptId);
    return { item: { promptId, prompt, candidates: own.map(candidateOf) }, keys: own.map(keyOf) };
  });
}

/** Each answer against the base's answer to the same prompt, drawn with the same random numbers. */
function againstBase({ ledger }: IterationContext, answers: readonly Answer[]): Question[] {
  const base = ledger.record(0, 'evaluation');
  const baseAnswers = new Map<string, string[]>();
  for (const { promptId, text } of base?.answers ?? [])
    baseAnswers.set(promptId, [...(baseAnswers.get(promptId) ?? []), text]);
  return answers.flatMap((each) => {
    const text = baseAnswers.get(each.promptId)?.[each.sampleIndex];
    if (text === undefined) return [];
    const candidates = [candidateOf(each), candidateOf({ sampleIndex: each.sampleIndex, text })];
    return [{ item: { promptId: keyOf(each), prompt: each.row.prompt, candidates }, keys: [keyOf(each)] }];
  });
}

/**
 * KL(policy || other) in nats a response, from the policy's own samples: the mean of log pi(y) - log other(y). Only
 * samples at temperature 1 over the whole vocabulary are draws of the policy; for others there is no estimate. y is all
 * that was sampled, up to and with a stop text: leaving out the tokens that decide where it ends would bias the mean.
 */
function klTo(context: IterationContext, answers: readonly Answer[], directory: string): Interval | null {
  const { recipe } = context;
  if (recipe.evaluate.temperature !== 1 || recipe.sampling.topP < 1 || recipe.sampling.topK > 0) return null;
  const trees = answers.map((each) => {
    return buildTree({
      pairId: keyOf(each),
      promptIds: each.promptIds,
      chosenIds: each.sampledIds,
      rejectedIds: each.sampledIds,
      responseIds: null,
    });
  });
  const other = withModel(directory, (model) => openPolicy(model, { dtype: 'float32', purpose: 'score' }), recipe);
  try {
    const logProbs = new Map<string, number>();
    for (const batch of microBatches(trees, recipe.training.microBatchTokens, longAfter(other.config))) {
      for (const [id, [logProb]] of scoreTrees(other, batch)) logProbs.set(id, logProb ?? Number.NaN);
    }
    const byPrompt = new Map<string, { policy: number; base: number }[]>();
    for (const each of answers) {
      const rows = byPrompt.get(each.promptId) ?? [];
      rows.push({ policy: each.logProb, base: logProbs.get(keyOf(each)) ?? Number.NaN });
      byPrompt.set(each.promptId, rows);
    }
    return klEstimate(byPrompt, recipe.seed);
  } finally {
    other.dispose();
  }
}
