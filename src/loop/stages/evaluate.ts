/**
 * @file The stage that measures a model on held-out prompts: the ranker's rewards, lengths, soundness of the text, and how
 * far the policy went from the base and from the policy before. All models answer with the same random numbers, so that
 * they are compared prompt by prompt.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import type { EvaluationData } from '../../evaluate/report-data.ts';
import { type Interval, klEstimate } from '../../evaluate/statistics.ts';
import { loadModel } from '../../model/load.ts';
import { randomKey } from '../../random.ts';
import type { FunctionRanker } from '../../rank/function.ts';
import type { RankItem } from '../../rank/ranker.ts';
import { type GeneratedResponse, generate } from '../../sample/generate.ts';
import { openSampler } from '../../sample/sampler.ts';
import { renderPrompt } from '../../text/rendering.ts';
import { truncatePrompt } from '../../text/truncation.ts';
import { microBatches } from '../../train/packing.ts';
import { openPolicy } from '../../train/policy.ts';
import { scoreTrees } from '../../train/reference.ts';
import { buildTree } from '../../train/trees.ts';
import { responseOf, stopTest } from './responses.ts';
import { type IterationContext, runStage } from './stage.ts';

/** What is kept of a measurement: the numbers, and the answers to show. */
export interface Evaluation {
  name: string;
  data: EvaluationData;
  answers: { promptId: string; prompt: string; text: string }[];
}

/** Kind of audit that a measurement is kept under. */
export const EVALUATION = 'evaluation';

interface Answer extends GeneratedResponse {
  row: PreferenceRow;
  promptIds: Int32Array;
  text: string;
  /** Scored ids, the end token included. */
  ids: Int32Array;
}

/** Measures a model, when the recipe has held-out prompts; iteration 0 is the model that training started from. */
export async function evaluateModel(
  context: IterationContext,
  input: {
    heldOut: readonly PreferenceRow[];
    modelDirectory: string;
    previousDirectory: string | null;
    name: string;
    ranker: FunctionRanker;
  },
): Promise<void> {
  const { recipe, ledger, iteration, watch } = context;
  const rows = input.heldOut;
  if (rows.length === 0) return;
  if (input.ranker.gives === 'order') {
    watch({ kind: 'warning', text: `Nothing is measured: ${input.ranker.id} gives an order, and rewards need scores` });
    return;
  }
  await runStage(context, 'evaluate', async () => {
    const answers = await answer(context, rows, input.modelDirectory);
    const { rewards, problems } = await scoreAnswers(input.ranker, rows, answers);
    if (problems > 0) watch({ kind: 'warning', text: `${problems} held-out prompts got no verdict and are left out` });
    const kept = answers.filter((each) => rewards.has(keyOf(each)));
    const data: EvaluationData = {
      promptIds: kept.map((each) => each.promptId),
      rewards: kept.map((each) => rewards.get(keyOf(each)) ?? Number.NaN),
      lengths: kept.map((each) => each.tokenIds.length),
      textHealth: await input.ranker.textHealth(kept.map((each) => each.text)),
      finishedShare: kept.filter((each) => each.finish === 'stop').length / Math.max(1, kept.length),
      klToBase: iteration === 0 ? null : klTo(context, kept, recipe.model),
      klToPrevious: input.previousDirectory === null ? null : klTo(context, kept, input.previousDirectory),
    };
    const shown = kept.map(({ promptId, row, text }) => ({ promptId, prompt: promptText(row), text }));
    ledger.putAudit(iteration, EVALUATION, { name: input.name, data, answers: shown } satisfies Evaluation);
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
  const { recipe, tokenizer, iteration, watch } = context;
  const { samples, temperature, maxNewTokens } = recipe.evaluate;
  const byId = new Map(
    rows.map((row) => {
      const promptIds = truncatePrompt(renderPrompt(tokenizer, row.prompt, recipe.text.rendering), {
        ...recipe.text,
        bosId: tokenizer.bosId,
      });
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
  watch({ kind: 'stage-started', run: recipe.name, iteration, stage: 'evaluate', total, done: 0, unit: 'answers' });
  const model = loadModel(modelDirectory);
  const sampler = openSampler(model);
  model.dispose();
  const answers: Answer[] = [];
  try {
    const { topP, topK, batchSize, stop } = recipe.sampling;
    const options = {
      temperature,
      topP,
      topK,
      maxNewTokens,
      batchSize,
      stopIds: tokenizer.stopIds,
      isComplete: stopTest(tokenizer, stop),
      signal: context.signal,
    };
    for await (const response of generate(sampler, requests, options)) {
      const known = byId.get(response.promptId);
      if (known !== undefined) {
        const { text, ids } = responseOf(tokenizer, response, stop);
        answers.push({ ...response, ...known, text, ids: Int32Array.from(ids) });
      }
      watch({ kind: 'stage-progress', iteration, stage: 'evaluate', done: answers.length, total });
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

async function scoreAnswers(
  ranker: FunctionRanker,
  rows: readonly PreferenceRow[],
  answers: readonly Answer[],
): Promise<{ rewards: Map<string, number>; problems: number }> {
  const items: RankItem[] = rows.map(({ promptId, prompt }) => ({
    promptId,
    prompt,
    candidates: answers
      .filter((each) => each.promptId === promptId)
      .map(({ sampleIndex, text }) => ({ kind: 'response', sampleIndex, text })),
  }));
  const rewards = new Map<string, number>();
  let problems = 0;
  const byId = new Map(items.map((item) => [item.promptId, item]));
  const stream = async function* (): AsyncGenerator<RankItem> {
    yield* items;
  };
  for await (const ranking of ranker.rank(stream())) {
    if (ranking.problem !== undefined) problems += 1;
    byId.get(ranking.promptId)?.candidates.forEach(({ sampleIndex }, index) => {
      const score = ranking.scores?.[index];
      if (score !== undefined) rewards.set(keyOf({ promptId: ranking.promptId, sampleIndex: sampleIndex ?? 0 }), score);
    });
  }
  return { rewards, problems };
}

/**
 * KL(policy || other) in nats a response, from the policy's own samples: the mean of log pi(y) - log other(y). Only
 * samples at temperature 1 over the whole vocabulary are draws of the policy; for others there is no estimate.
 */
function klTo(context: IterationContext, answers: readonly Answer[], directory: string): Interval | null {
  const { recipe } = context;
  if (recipe.evaluate.temperature !== 1 || recipe.sampling.topP < 1 || recipe.sampling.topK > 0) return null;
  const trees = answers.map((each) => {
    return buildTree({
      pairId: keyOf(each),
      promptIds: each.promptIds,
      chosenIds: each.ids,
      rejectedIds: each.ids,
      responseIds: null,
    });
  });
  const model = loadModel(directory);
  const other = openPolicy(model, { dtype: 'float32', purpose: 'score' });
  model.dispose();
  try {
    const logProbs = new Map<string, number>();
    for (const batch of microBatches(trees, recipe.training.microBatchTokens)) {
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
