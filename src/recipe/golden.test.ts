import { expect, test } from 'vitest';
import { recipeKeys } from './schema.ts';
import { sftRecipeKeys } from './sft.ts';

// The frozen surface: adding, renaming or removing a setting is a decision, and this list is where it shows.
const KEYS = `
name output seed model device threads track
sft
data data.train data.limit data.columns data.columns.prompt data.columns.chosen data.columns.rejected data.columns.messages data.columns.completion data.columns.label data.columns.promptId data.shares data.counts data.license data.allowLicenses data.onBadRow
text text.rendering text.prompts text.maxLength text.maxPromptLength
iterations
slices slices.count slices.size slices.share slices.reuse
warmStart reference update minMargin labels pairWeights accumulate
sampling sampling.samples sampling.referenceSamples sampling.temperature sampling.partnerTemperature sampling.topP sampling.topK sampling.maxNewTokens sampling.batchSize sampling.dtype sampling.stop
sampler sampler.kind sampler.url sampler.model sampler.apiKeyVariable sampler.reload sampler.tolerance sampler.concurrency sampler.retries
sampler.timeoutMs
select select.budget select.prompts select.answers select.beliefs select.randomShare select.rounds
ranker ranker.kind ranker.module ranker.timeoutMs ranker.concurrency ranker.onError
ranker.command ranker.folder ranker.gives
ranker.model ranker.dtype ranker.batchTokens ranker.maxTokens
ranker.baseUrl ranker.apiKeyVariable
ranker.ask ranker.ask.kind ranker.ask.read ranker.ask.orders ranker.ask.opponents ranker.ask.prompt
ranker.temperature
ranker.budget ranker.budget.calls ranker.budget.money ranker.budget.money.limit ranker.budget.money.promptPrice
ranker.budget.money.completionPrice ranker.retries ranker.votes ranker.muchBetter ranker.gold ranker.gold.file ranker.gold.share ranker.repeatShare
secondOpinion secondOpinion.share secondOpinion.doubtMargin secondOpinion.decides secondOpinion.unasked
objective
objective.preference objective.preference.kind objective.preference.beta objective.preference.labelSmoothing
objective.preference.penalty objective.preference.targets objective.preference.chosenWeight objective.preference.rejectedWeight
objective.preference.examples
objective.exploration objective.exploration.kind objective.exploration.alpha objective.chosenLikelihood
rewardModel rewardModel.labels rewardModel.alpha rewardModel.beta rewardModel.learningRate rewardModel.epochs rewardModel.batchSize
training training.batchSize training.epochs training.learningRate training.cycle training.schedule training.warmupRatio
training.dropLastStep
training.weightDecay training.adamBeta1 training.adamBeta2 training.adamEpsilon training.maxGradNorm training.dtype training.states
training.microBatchTokens training.activations training.sharding training.checkpointEverySteps
training.adapter training.adapter.kind training.adapter.rank training.adapter.alpha training.adapter.targets
training.adapter.rankStabilised training.adapter.dropout
evaluate evaluate.prompts evaluate.holdOut evaluate.columns evaluate.columns.prompt evaluate.columns.chosen evaluate.columns.rejected evaluate.columns.messages evaluate.columns.completion evaluate.columns.label evaluate.columns.promptId evaluate.limit evaluate.samples evaluate.temperature evaluate.maxNewTokens evaluate.greedy evaluate.title
evaluate.explorationPrompts evaluate.benchmarks evaluate.benchmarks.on evaluate.benchmarks.data evaluate.benchmarks.limit evaluate.benchmarks.base
evaluate.benchmarks.dtype evaluate.benchmarks.batchTokens evaluate.benchmarks.batchSize evaluate.judge evaluate.judge.model evaluate.judge.baseUrl evaluate.judge.apiKeyVariable evaluate.judge.budget evaluate.judge.budget.calls evaluate.judge.budget.money evaluate.judge.budget.money.limit evaluate.judge.budget.money.promptPrice evaluate.judge.budget.money.completionPrice
evaluate.judge.retries evaluate.judge.timeoutMs evaluate.judge.concurrency evaluate.alpaca evaluate.alpaca.judge evaluate.alpaca.read evaluate.alpaca.reference evaluate.alpaca.data
evaluate.alpaca.limit evaluate.alpaca.base evaluate.alpaca.temperature evaluate.alpaca.topP evaluate.alpaca.maxNewTokens evaluate.mtBench evaluate.mtBench.judge evaluate.mtBench.limit evaluate.mtBench.base evaluate.mtBench.maxNewTokens evaluate.keepBest evaluate.stopOnRegression evaluate.stopOnRegression.measure
evaluate.stopOnRegression.by evaluate.stopOnRegression.patience evaluate.twin
`;

const SFT_KEYS = `
objective objective.kind objective.beta objective.desirableWeight objective.undesirableWeight objective.baseline
data data.train data.limit data.columns data.columns.prompt data.columns.chosen data.columns.rejected data.columns.messages data.columns.completion data.columns.label data.columns.promptId data.license data.allowLicenses data.onBadRow
text text.prompts text.maxLength
training training.batchSize training.epochs training.learningRate training.schedule training.warmupRatio
training.dropLastStep
training.weightDecay training.adamBeta1 training.adamBeta2 training.adamEpsilon training.maxGradNorm training.dtype training.states
training.microBatchTokens training.activations training.sharding training.checkpointEverySteps
training.adapter training.adapter.kind training.adapter.rank training.adapter.alpha training.adapter.targets
training.adapter.rankStabilised training.adapter.dropout
`;

test('recipeKeys() is the frozen list', () => {
  // A second ranker takes the very settings of the first.
  const first = KEYS.match(/\branker(\.\S+)?/g) ?? [];
  const second = first.map((key) => `secondOpinion.${key}`);
  const otherwise = first.map((key) => key.replace('ranker', 'select.otherwise'));
  const expected = KEYS.trim().split(/\s+/);
  expected.splice(expected.indexOf('select.rounds') + 1, 0, ...otherwise);
  expected.splice(expected.indexOf('secondOpinion') + 1, 0, ...second);
  // The section has what a fine-tuning has of its own; the rest is the run's.
  expected.splice(
    expected.indexOf('sft') + 1,
    0,
    ...SFT_KEYS.trim()
      .split(/\s+/)
      .map((key) => `sft.${key}`),
  );
  expect(recipeKeys()).toEqual(expected);
});

test('sftRecipeKeys() is the frozen list', () => {
  const run = ['name', 'output', 'seed', 'model', 'device', 'threads', 'track'];
  expect(sftRecipeKeys()).toEqual([...run, ...SFT_KEYS.trim().split(/\s+/)]);
});
