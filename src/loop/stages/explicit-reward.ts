/**
 * @file The stages of an explicit reward model (the paper's Eq. 3.1 before the reward is reparameterised): the ranker labels
 * some prompts of the slice, drawn or selected, a reward model is fitted to all comparisons so far with optimism about what the policy
 * sampled now, and it ranks every prompt in the ranker's place.
 */

import { join } from 'node:path';
import type { PreferenceRow } from '../../data/rows.ts';
import type { WrittenFiles } from '../../files/atomic.ts';
import { sha256 } from '../../files/hash.ts';
import { baseDirectory, withFactors } from '../../model/adapter/adapter.ts';
import { SCORE } from '../../model/classifier/decoder-classifier.ts';
import type { ModelConfig } from '../../model/config.ts';
import { withModel } from '../../model/load.ts';
import { type WeightInParts, writeModelFiles } from '../../model/save.ts';
import { HEAD, weightOf } from '../../model/weights.ts';
import { randomKey, uniformAt } from '../../random.ts';
import {
  type LearnedRewardPlace,
  learnedRewardTokens,
  openLearnedReward,
  RANK_BY_LEARNED_REWARD,
} from '../../rank/model/learned-reward.ts';
import { shareRanker } from '../../rank/model/together.ts';
import type { Recipe, RewardModelSettings } from '../../recipe/schema.ts';
import type { Policy } from '../../score/policy.ts';
import { noGrad } from '../../torch/autograd.ts';
import type { Tensor } from '../../torch/tensor.ts';
import { planSteps } from '../../train/plan.ts';
import { buildRewardTree, type RewardTree } from '../../train/reward-step.ts';
import { learningRateAt, warmupSteps } from '../../train/schedule.ts';
import { modelSha256 } from '../model-hash.ts';
import { beginSelection, rankSelected } from './ask-rankers.ts';
import { type Comparison, comparisonsOf } from './comparisons.ts';
import { pairResponses } from './pair.ts';
import { rankItems, rankWith } from './rank.ts';
import { tellAgreement } from './second-opinion.ts';
import type { SelectInput } from './select.ts';
import { type IterationContext, runStage } from './stage.ts';
import { trainAndSave } from './train-and-save.ts';
import type { StoredPolicy } from './training-settings.ts';

/** Label, fit, rank and pair; afterwards the iteration's pairs are those of the reward model. */
export async function pairByRewardModel(
  context: IterationContext,
  input: SelectInput & { settings: RewardModelSettings },
): Promise<void> {
  const { run, iteration, ledger, tokenizer, recipe } = context;
  const selection = await beginSelection(context, input);
  await runStage(context, 'label', () =>
    selection === null
      ? labelDrawn(context, input.rows, input.settings)
      : rankSelected(context, input.rows, { stage: 'label', selection }),
  );
  if (recipe.select?.otherwise) tellAgreement(context);
  await fitRewardModel(context, input);
  // An opened model is needed only where one of the two is still to be done.
  if (ledger.stages.status(iteration, 'pair') === 'finished') {
    for (const stage of ['rank', 'pair'] as const) context.announce({ kind: 'stage-skipped', stage });
    return;
  }
  const directory = run.rewardModelPath(iteration);
  const { text: limits, device } = recipe;
  const ranker = shareRanker(openLearnedReward(directory, { tokenizer, limits, device }), {
    name: RANK_BY_LEARNED_REWARD,
    settings: {
      directory,
      tokenizerDirectory: baseDirectory(recipe.model),
      limits,
      device,
    } satisfies LearnedRewardPlace,
    team: context.team,
    signal: context.signal,
  });
  try {
    const items = rankItems(ledger, iteration, input.rows);
    await runStage(context, 'rank', () => rankWith(context, { stage: 'rank', ranker, items }));
    await runStage(context, 'pair', () => pairResponses({ ...context, ranker, secondRanker: null }, input.rows));
  } finally {
    await ranker.close();
  }
}

/** The ranker's verdict on prompts drawn at random: which ones depends on seed, iteration and prompt alone. */
async function labelDrawn(
  context: IterationContext,
  rows: readonly PreferenceRow[],
  { labels }: RewardModelSettings,
): Promise<string> {
  const { recipe, ledger, iteration, ranker } = context;
  const drawn = rankItems(ledger, iteration, rows)
    .map((item) => ({ item, place: uniformAt(randomKey(recipe.seed, 'label', iteration, item.promptId), 0) }))
    .sort((a, b) => a.place - b.place)
    .slice(0, labels ?? undefined);
  return rankWith(context, { stage: 'label', ranker, items: drawn.map(({ item }) => item) });
}

/** A prompt of the fit: what was compared of it, and what the policy sampled now. */
interface RewardPrompt {
  name: string;
  prompt: PreferenceRow['prompt'];
  comparison: Comparison | null;
  samples: readonly string[];
}

/** The comparisons of earlier iterations, then every prompt of this one. */
function rewardPrompts(context: IterationContext, { rows, earlierRows = [] }: SelectInput): RewardPrompt[] {
  const { ledger, iteration } = context;
  const promptOf = new Map([...earlierRows, ...rows].map(({ promptId, prompt }) => [promptId, prompt]));
  const earlier = Array.from({ length: iteration - 1 }, (_, i) => i + 1).flatMap((t) =>
    [...comparisonsOf(context, t)].flatMap(([promptId, comparison]) => {
      const prompt = promptOf.get(promptId);
      return prompt === undefined ? [] : [{ name: `${t}/${promptId}`, prompt, comparison, samples: [] }];
    }),
  );
  const now = comparisonsOf(context, iteration);
  const current = rankItems(ledger, iteration, rows).map(({ promptId, prompt, candidates }) => ({
    name: `${iteration}/${promptId}`,
    prompt,
    comparison: now.get(promptId) ?? null,
    samples: candidates.filter(({ kind }) => kind === 'response').map(({ text }) => text),
  }));
  return [...earlier, ...current];
}

/** The tree of a prompt; null where nothing of it has a gradient: without optimism, what was not compared. */
function rewardTree(
  { tokenizer, recipe }: IterationContext,
  { name, prompt, comparison, ...own }: RewardPrompt,
  { alpha }: RewardModelSettings,
): RewardTree | null {
  const samples = alpha > 0 ? own.samples : [];
  if (samples.length === 0 && comparison === null) return null;
  const texts = [...samples, ...(comparison === null ? [] : [comparison.chosen, comparison.rejected])];
  const { promptIds, responses } = learnedRewardTokens(tokenizer, { prompt, responses: texts }, recipe.text);
  return buildRewardTree({
    pairId: name,
    promptIds: Int32Array.from(promptIds),
    responses: responses.map((ids) => Int32Array.from(ids)),
    comparison: comparison === null ? null : { chosen: samples.length, rejected: samples.length + 1 },
    samples: samples.map((_, index) => index),
  });
}

/** Trains a reward model from the recipe's model on every comparison so far, and saves it. */
async function fitRewardModel(
  context: IterationContext,
  input: SelectInput & { settings: RewardModelSettings },
): Promise<void> {
  const { recipe, run, ledger, iteration, announce } = context;
  const { settings } = input;
  if (ledger.stages.status(iteration, 'reward-model') === 'finished') {
    announce({ kind: 'stage-skipped', stage: 'reward-model' });
    return;
  }
  const prompts = rewardPrompts(context, input);
  const comparisons = prompts.filter(({ comparison }) => comparison !== null).length;
  // Steps are planned over all prompts whatever alpha is, so that alpha = 0 is the limit of a small one.
  const trees = prompts.map((prompt) => rewardTree(context, prompt, settings));
  const keys = Array.from({ length: settings.epochs }, (_, epoch) =>
    randomKey(recipe.seed, 'shuffle reward model', iteration, epoch),
  );
  const steps = planSteps(prompts.length, { batchSize: settings.batchSize, dropLastStep: false, keys });
  const { dtype, states, adapter, warmupRatio, schedule: kind } = recipe.training;
  const plan = sha256(
    JSON.stringify([
      await modelSha256(recipe.model),
      trees.map(planEntry),
      steps,
      settings,
      dtype,
      adapter,
      ...(states === 'float32' ? [] : [states]),
    ]),
  );
  // Counted from 1: there may be few steps, and none of them is spent at a learning rate of 0.
  const totalSteps = steps.length + 1;
  const schedule = {
    totalSteps,
    warmupSteps: warmupSteps(totalSteps, warmupRatio),
    learningRate: settings.learningRate,
    kind,
  };
  await trainAndSave(context, {
    stage: 'reward-model',
    recipe,
    startDirectory: recipe.model,
    modelDirectory: run.rewardModelPath(iteration),
    checkpointsDirectory: join(run.checkpointsPath(iteration), 'reward-model'),
    steps: steps.map((indices) => indices.flatMap((index) => trees[index] ?? [])),
    plan,
    learningRateAt: (step) => learningRateAt(step + 1, schedule),
    learningRateSetting: 'rewardModel.learningRate',
    lesson: { kind: 'rewards', objective: { alpha: settings.alpha, beta: settings.beta } },
    write: (directory, policy, stored) => writeRewardModel(directory, { policy, stored }, recipe),
    detail: ({ loss = Number.NaN }) => `loss ${loss.toFixed(4)}`,
    material: `${comparisons} comparisons`,
  });
}

/**
 * Saves a whole sequence classifier: an adapter is merged into the weights below it, read again from their files. `stored` where
 * ranks share the model, and none has it whole.
 */
function writeRewardModel(
  directory: string,
  { policy: { config, masters, lowRank }, stored }: { policy: Policy; stored: StoredPolicy | null },
  { model: from, device }: Pick<Recipe, 'model' | 'device'>,
): WrittenFiles {
  const files = { base: baseDirectory(from), raw: asClassifier(config.raw), dtype: 'float32' } as const;
  const trained = stored ?? masters;
  if (lowRank === null) return writeModelFiles(directory, { ...files, weights: trained });
  const adapter = stored === null ? lowRank.adapter : withFactors(lowRank.adapter, stored);
  const score = weightOf<Tensor | WeightInParts>(trained, SCORE);
  return withModel(
    from,
    ({ weights }) => {
      const body = [...weights].filter(([name]) => name !== HEAD);
      const whole = new Map<string, Tensor | WeightInParts>([...body, [SCORE, score]]);
      return noGrad(() => writeModelFiles(directory, { ...files, weights: whole, adapter }));
    },
    { device },
  );
}

/** The parts of a tree that decide what is learned from it. */
function planEntry(tree: RewardTree | null): unknown {
  if (tree === null) return null;
  const sequences = [tree.promptIds, ...tree.continuations].map((ids) => ids.join(' '));
  return [tree.pairId, tree.comparison, tree.samples, sequences];
}

/** config.json of a language model as that of its sequence classifier with one label, scored at the very last token. */
function asClassifier({ fields, text }: ModelConfig['raw']): ModelConfig['raw'] {
  const names = Array.isArray(fields.architectures) ? fields.architectures.map(String) : [];
  return {
    fields: {
      ...fields,
      architectures: names.map((name) => name.replace(/ForCausalLM$/, 'ForSequenceClassification')),
      id2label: { 0: 'LABEL_0' },
      label2id: { LABEL_0: 0 },
      // transformers would pass over a last token that is the padding token, and the end token may be that.
      pad_token_id: null,
    },
    text,
  };
}
