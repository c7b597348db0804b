/** @file What `selm train` and `selm sft` say before and after a run: the recipe in a few lines, and where the results lie. */

import { selmCommand, shorterPath } from '../files/command-line.ts';
import type { RunOutcome } from '../loop/run.ts';
import type { SftOutcome } from '../loop/sft.ts';
import { describeRanker } from '../rank/open.ts';
import { judgeOf } from '../recipe/evaluate.ts';
import { hasHeldOut, heldOutColumns } from '../recipe/iterations.ts';
import { examplesText } from '../recipe/objective.ts';
import type { BenchmarkSettings, Recipe, SelectSettings } from '../recipe/schema.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import { columnsArguments } from './columns.ts';
import { formatNumber } from './format.ts';

/** The settings that make the run what it is; all of them are in config.yaml of the run directory. */
export function describeRecipe(recipe: Recipe): string {
  const { sampling, training, slices, warmStart, iterations } = recipe;
  const first = sampling.temperature === 0 ? 'greedy' : `temperature ${sampling.temperature}`;
  const { partnerTemperature } = sampling;
  const how = partnerTemperature === null ? first : `the first ${first}, the others temperature ${partnerTemperature}`;
  const part = slices.share === null ? `1/${slices.count}` : `${formatNumber(100 * slices.share)} %`;
  const slice = slices.size === null ? `${part} of the rows` : `${slices.size} rows`;
  const reused = slices.reuse === 'cycle' ? ', from the start again when they run out' : '';
  const facts: [string, string][] = [
    ['model', shorterPath(recipe.model)],
    ...(recipe.sft === null
      ? []
      : [['first', `supervised fine-tuning: ${sftText(recipe.sft)}`] satisfies [string, string]]),
    ['data', `${recipe.data.train.map((path) => shorterPath(path)).join(', ')}; each iteration sees ${slice}${reused}`],
    [
      'loop',
      `${warmStart === 'dpo' ? 'a warm start by DPO, then ' : ''}${iterations} iterations; reference is the ${recipe.reference} model`,
    ],
    ['sample', `${sampling.samples} a prompt, ${how}, up to ${sampling.maxNewTokens} tokens${samplerText(recipe)}`],
    ['rank', `by ${describeRanker(recipe.ranker)}${opinionText(recipe)}; pairs: ${recipe.update}`],
    [
      'train',
      `${objectiveText(recipe)}; ${weightsText(training)}; ${training.batchSize} ${examplesText(recipe.objective.preference)} a step, learning rate ${training.learningRate}, ${training.dtype}`,
    ],
    [
      'evaluate',
      hasHeldOut(recipe) ? evaluateText(recipe) : 'nothing (neither evaluate.prompts nor evaluate.holdOut is set)',
    ],
    ...(recipe.evaluate.benchmarks === null
      ? []
      : [['benchmark', benchmarksText(recipe.evaluate.benchmarks)] satisfies [string, string]]),
    ...judgeFacts(recipe),
    ['output', shorterPath(recipe.output)],
  ];
  return factsText(recipe, facts);
}

/** Which servers sample; nothing where this program does. */
function samplerText({ sampler }: Recipe): string {
  if (sampler.kind === 'own') return '';
  const name = { vllm: 'vLLM', openai: 'the server' }[sampler.kind];
  return `, by ${name} at ${[sampler.url].flat().join(', ')}`;
}

/** Which judges measure what. */
function judgeFacts({ evaluate: { judge, alpaca, mtBench } }: Recipe): [string, string][] {
  const by = [
    ...(alpaca === null ? [] : [`AlpacaEval by ${judgeOf(judge, alpaca).model}`]),
    ...(mtBench === null ? [] : [`MT-Bench by ${judgeOf(judge, mtBench).model}`]),
  ];
  return by.length === 0 ? [] : [['judge', `outputs of each model: ${by.join(', ')}`]];
}

/** The settings of a supervised fine-tuning. */
export function describeSftRecipe(recipe: SftRecipe): string {
  return factsText(recipe, [
    ['model', shorterPath(recipe.model)],
    ['train', sftText(recipe)],
    ['output', shorterPath(recipe.output)],
  ]);
}

function factsText({ name: run, seed }: { name: string; seed: number }, facts: [string, string][]): string {
  return [`Run "${run}", seed ${seed}`, ...facts.map(([name, text]) => `  ${name.padEnd(9)} ${text}`), ''].join('\n');
}

/** Which weights change. */
function weightsText({ adapter }: Pick<Recipe['training'], 'adapter'>): string {
  switch (adapter.kind) {
    case 'none':
      return 'all weights';
    case 'lora': {
      const targets = adapter.targets === 'all-linear' ? adapter.targets : adapter.targets.join(', ');
      return `${adapter.rankStabilised ? 'rank-stabilised ' : ''}LoRA of rank ${adapter.rank}, alpha ${adapter.alpha} on ${targets}`;
    }
  }
}

function sftText({ data, training, objective }: SftRecipe): string {
  const epochs = training.epochs === 1 ? '' : `, ${training.epochs} epochs`;
  return `${data.train.map((path) => shorterPath(path)).join(', ')}; ${weightsText(training)}, ${training.batchSize} ${objective.kind === 'kto' ? 'labelled responses' : 'conversations'} a step${epochs}, learning rate ${training.learningRate}, ${training.dtype}`;
}

/** Where the results of a supervised fine-tuning lie, and what to do next. */
export function describeSftOutcome({ path, modelPath }: SftOutcome): string {
  const [run, model] = [shorterPath(path), shorterPath(modelPath)];
  return [
    '',
    `Model    ${model}`,
    `Run      ${run}`,
    '',
    'Next:',
    `  ${selmCommand(['generate', model, '--prompt', 'Hello'])}`,
    `  ${selmCommand(['metrics', run])}`,
    `  ${selmCommand(['train', 'recipe.yaml', '--set', `model=${model}`])}`,
  ].join('\n');
}

/** The report's summary, where the results lie, and what to do next. */
export function describeOutcome(
  recipe: Recipe,
  { path, modelPath, bestPath, reportPath, summary }: RunOutcome,
): string {
  const run = shorterPath(path);
  const model = shorterPath(modelPath);
  const { prompts: heldOut } = recipe.evaluate;
  const file = heldOut ?? recipe.data.train[0] ?? '';
  const columns = columnsArguments(heldOut === null ? recipe.data.columns : heldOutColumns(recipe));
  return [
    '',
    summary,
    '',
    `Model    ${model}`,
    ...(bestPath === null ? [] : [`Best     ${shorterPath(bestPath)}`]),
    `Report   ${shorterPath(reportPath)}`,
    `Run      ${run}`,
    '',
    'Next:',
    `  ${selmCommand(['generate', model, '--prompts', shorterPath(file), ...columns, '--limit', '3'])}`,
    `  ${selmCommand(['pairs', run, '--iteration', String(recipe.iterations), '--limit', '5'])}`,
    `  ${selmCommand(['metrics', run])}`,
  ].join('\n');
}

function objectiveText({ objective: { preference, exploration } }: Recipe): string {
  const alpha =
    exploration.kind === 'none'
      ? 'no exploration'
      : `exploration ${exploration.kind} with alpha ${String(exploration.alpha)}`;
  return `${preference.kind} with beta ${preference.beta}, ${alpha}`;
}

function opinionText({ secondOpinion, select }: Recipe): string {
  const selection = select === null ? '' : selectionText(select);
  if (secondOpinion === null) return selection;
  const { ranker, share, doubtMargin, decides, unasked } = secondOpinion;
  const ofWhich = select === null ? 'the prompts' : 'those';
  const doubt = doubtMargin === null ? '' : ' and where the first is in doubt';
  const rest = unasked === 'ranked' ? ' and on all others' : '';
  const where = `${formatNumber(100 * share)} % of ${ofWhich}${doubt}${rest}`;
  return `${selection}, second opinion by ${describeRanker(ranker)} on ${where}${decides === 'second' ? ', which decides' : ''}`;
}

function selectionText({ budget, prompts, answers, rounds, otherwise }: SelectSettings): string {
  const most = budget === null ? '' : `, at most ${budget} labels an iteration`;
  const inRounds = rounds === 1 ? '' : ` in ${rounds} rounds`;
  const which = `, ${answers === 'all' ? 'all answers' : `two answers by ${answers}`} of prompts by ${prompts}`;
  return `${most}${inRounds}${which}${otherwise === null ? '' : `, otherwise by ${describeRanker(otherwise)}`}`;
}

function benchmarksText({ on, base, limit: each }: BenchmarkSettings): string {
  const names = on.map((one) => {
    const { name, limit } = typeof one === 'string' ? { name: one, limit: null } : one;
    const first = limit ?? each;
    return first === null ? name : `${name} (first ${first})`;
  });
  return `${base ? 'the base model and ' : ''}each iteration on ${names.join(', ')}`;
}

/** What is said of a twin, by `evaluate.twin`. */
const TWIN_TEXT = {
  false: '',
  true: '; the same recipe with alpha = 0 runs too, for comparison',
  beside: '; the same recipe with alpha = 0 runs beside it, for comparison',
} as const;

function evaluateText({ evaluate }: Recipe): string {
  const prompts =
    evaluate.prompts === null ? `${evaluate.holdOut} prompts held out of the data` : shorterPath(evaluate.prompts);
  const twin = TWIN_TEXT[`${evaluate.twin}`];
  return `the base model and each iteration on ${prompts}${twin}`;
}
