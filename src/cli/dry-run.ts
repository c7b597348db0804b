/** @file `selm train --dry-run`: what a recipe will do and roughly cost, as text. Nothing is sampled, nothing written. */
import type { MemoryPart } from '../forecast/cost.ts';
import type { Forecast } from '../forecast/forecast.ts';
import type { IterationPlan } from '../forecast/plan.ts';
import type { IterationCost } from '../forecast/time.ts';
import { questionCount } from '../rank/judge/rounds.ts';
import { describeRanker } from '../rank/open.ts';
import { judgeOf } from '../recipe/evaluate.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { Gpu } from '../torch/gpus.ts';
import { singleStepWarning } from '../train/schedule.ts';
import { describeRecipe } from './describe.ts';

/** The recipe's device on this machine: the card that it names, and what is to be said of it. */
export interface DeviceHere {
  card: Pick<Gpu, 'name' | 'memoryBytes'> | null;
  says: string | null;
}

/** The forecast as text: slices and steps, learning rates, tokens, memory, time. */
export function describeForecast(
  recipe: Recipe,
  { facts, iterations, cost }: Forecast,
  { card, says }: DeviceHere = { card: null, says: null },
): string {
  const used = Math.max(...iterations.map(({ slice }) => slice.end));
  const { prompt, response, atMost } = facts.tokens;
  const about = atMost ? 'at most ' : '';
  return [
    describeRecipe(recipe),
    `Rows: ${count(facts.rows)} (${facts.sources.rows}), ${facts.hasPairs ? 'with pairs' : 'prompts alone'}; ${count(facts.rows - used)} are in no slice`,
    ...(facts.reading === null ? [] : [`Prompts: ${facts.reading}`]),
    '',
    ...table([
      ['iteration', 'rows', 'responses', 'pairs', 'steps', 'warm-up', 'peak rate'],
      ...iterations.map(planRow),
    ]),
    '  Pairs: if every prompt gives all it can; ties and equal texts give fewer.',
    ...iterations.flatMap(({ iteration, schedule }) => {
      const what = iteration === 0 ? 'The warm start' : `Iteration ${iteration}`;
      const warning = singleStepWarning(schedule, what);
      return warning === null ? [] : [`  Warning: ${warning}.`];
    }),
    ...judgeLines(recipe, iterations),
    ...benchmarkLines(recipe, facts.benchmarks),
    '',
    'Learning rates, steps counted from 0',
    ...iterations.map(
      ({ iteration, rates }) =>
        `  ${nameOf(iteration)}: ${rates.map(({ step, learningRate }) => `${step} ${learningRate === 0 ? '0' : learningRate.toExponential(6)}`).join(', ')}`,
    ),
    '',
    `Tokens: ${about}${count(prompt)} a prompt, ${about}${count(response)} a response (${facts.sources.tokens})`,
    ...costLines(recipe, facts, { cost, card }),
    '',
    ...(says === null ? [] : [says]),
    'A dry run: nothing was sampled, trained or written.',
  ].join('\n');
}

function planRow({ iteration, slice, responses, pairs, schedule }: IterationPlan): string[] {
  const { totalSteps, warmupSteps, learningRate } = schedule;
  const rows = `[${slice.start}:${slice.end}]`;
  return [nameOf(iteration), rows, ...[responses, pairs, totalSteps, warmupSteps].map(count), String(learningRate)];
}

/** Questions that a judge is paid for; of a second opinion those on the drawn prompts. */
function judgeLines(recipe: Recipe, iterations: readonly IterationPlan[]): string[] {
  const { ranker, secondOpinion, select } = recipe;
  const questions = (prompts: number, candidates: number, settings: Recipe['ranker']): number =>
    settings.kind === 'judge' ? prompts * questionCount(candidates, settings.ask) : 0;
  const line = (settings: Recipe['ranker'], promptsOf: (plan: IterationPlan) => number, rest: string): string[] => {
    const all = iterations.reduce((sum, plan) => sum + questions(promptsOf(plan), plan.candidates, settings), 0);
    return all === 0 ? [] : [`  ${describeRanker(settings)}: about ${count(all)} questions${rest}`];
  };
  const asked = iterations.reduce(
    (sum, plan) => sum + questions(plan.asked, select?.answers === 'all' ? plan.candidates : 2, ranker),
    0,
  );
  const first =
    select === null
      ? line(ranker, rowsOf, ' if all responses differ, and more for held-out prompts')
      : [
          ...selectionLines(recipe, iterations),
          ...(asked === 0
            ? []
            : [`  ${describeRanker(ranker)}: about ${count(asked)} questions, and more for held-out prompts`]),
          ...(select.otherwise === null ? [] : line(select.otherwise, rowsOf, ' if all responses differ')),
        ];
  const second =
    secondOpinion === null
      ? []
      : line(
          secondOpinion.ranker,
          opinionsOf(secondOpinion),
          secondOpinion.doubtMargin === null ? '' : ', and more on doubt',
        );
  const { judge, alpaca, mtBench, twin } = recipe.evaluate;
  const models = (base: boolean): number => (recipe.iterations + (base ? 1 : 0)) * (twin === false ? 1 : 2);
  const rated =
    mtBench === null
      ? []
      : [
          `  judge ${judgeOf(judge, mtBench).model} for MT-Bench: about ${count(2 * (mtBench.limit ?? 80) * models(mtBench.base))} questions`,
        ];
  const compared =
    alpaca === null
      ? []
      : [
          `  judge ${judgeOf(judge, alpaca).model} for AlpacaEval: one question an instruction and model, of ${alpaca.limit ?? 'all'} instructions and ${models(alpaca.base)} models`,
        ];
  return [...compared, ...rated, ...first, ...second];
}

function rowsOf({ slice }: IterationPlan): number {
  return slice.end - slice.start;
}

/** Prompts that a second opinion is asked about: a share of those that the first judges, and where it ranks them the others. */
function opinionsOf({ share, unasked }: NonNullable<Recipe['secondOpinion']>): (plan: IterationPlan) => number {
  return (plan) => share * plan.asked + (unasked === 'ranked' ? rowsOf(plan) - plan.asked : 0);
}

/** What a budget of labels comes to. */
function selectionLines({ select, ranker }: Recipe, iterations: readonly IterationPlan[]): string[] {
  if (select?.budget == null) return [];
  const prompts = iterations.map(({ asked, slice }) => `${count(asked)} of ${count(slice.end - slice.start)}`);
  return [
    `  ${describeRanker(ranker)}: at most ${count(select.budget)} labels an iteration, about ${prompts.join(', ')} prompts`,
  ];
}

/** What public benchmarks ask, of how many models. */
function benchmarkLines(
  { evaluate: { benchmarks }, iterations }: Recipe,
  facts: Forecast['facts']['benchmarks'],
): string[] {
  if (benchmarks === null) return [];
  const models = iterations + (benchmarks.base ? 1 : 0);
  return [
    '',
    `Benchmarks, of ${models} models (${benchmarks.base ? 'the base and ' : ''}each iteration)`,
    ...facts.map(({ title, shots, limit, items, tokens }) => {
      const first =
        limit === null ? 'all items' : `the first ${count(limit)} items (of each subject, where it has some)`;
      const examples = shots === 1 ? '1 example' : `${shots} examples`;
      const many = items === null ? first : `${count(items)} items`;
      const generated =
        tokens === null || tokens.generated === 0 ? '' : `, at most ${count(tokens.generated)} generated`;
      const cost = tokens === null ? '' : `: about ${count(tokens.read)} tokens read${generated}, each model`;
      return `  ${title}, ${many} with ${examples}${cost}`;
    }),
  ];
}

function costLines(
  recipe: Recipe,
  facts: Forecast['facts'],
  { cost, card }: { cost: Forecast['cost']; card: Pick<Gpu, 'name' | 'memoryBytes'> | null },
): string[] {
  const source = facts.sources.model;
  if (cost === null) return ['', `Memory and time: unknown, the model is ${source}`];
  const { parameters, memory } = cost;
  return [
    ...table([
      ['iteration', 'sampled', 'trained on'],
      ...cost.iterations.map(({ iteration, sampledTokens, trainedTokens }) => [
        nameOf(iteration),
        count(sampledTokens),
        count(trainedTokens),
      ]),
    ]),
    '',
    `Memory, an estimate (${count(parameters)} weights, ${source}); the larger of the two is needed${recipe.evaluate.twin === 'beside' ? ', and as much again for the twin beside it' : ''}`,
    ...memoryLines('training', memory.training),
    ...memoryLines('sampling', memory.sampling),
    ...(card === null ? [] : [fitLine(recipe, memory, card)]),
    '',
    ...timeLines(recipe, facts, cost),
  ];
}

/** A column for each stage that takes time, a row for each iteration, and the time of all. */
function timeLines(
  recipe: Recipe,
  { heldOut, fineTuning, benchmarks }: Forecast['facts'],
  { iterations, rates, fineTuneSeconds, totalSeconds, ...base }: NonNullable<Forecast['cost']>,
): string[] {
  const used = STAGES.filter(([stage]) => iterations.some((each) => each[stage] > 0));
  const beforeOf = (stage: (typeof STAGES)[number][0]): number => {
    if (stage === 'evaluateSeconds') return base.evaluateBaseSeconds;
    return stage === 'benchmarkSeconds' ? base.benchmarkBaseSeconds : 0;
  };
  const sum = (stage: (typeof STAGES)[number][0]): number =>
    iterations.reduce((total, each) => total + each[stage], beforeOf(stage));
  const before = used.map(([stage]) => (beforeOf(stage) > 0 ? duration(beforeOf(stage)) : ''));
  const unknown = benchmarks.filter(({ tokens }) => tokens === null).map(({ title }) => title);
  const missing = [
    ...(heldOut === null ? ['the evaluation (its prompts are not on this machine)'] : []),
    ...(recipe.sft !== null && fineTuning === null ? ['the supervised fine-tuning (its data are not here)'] : []),
    ...(unknown.length > 0 ? [`${unknown.join(', ')} (their rows are not on this machine)`] : []),
    ...(recipe.sampler.kind === 'own' ? [] : ['what the server samples']),
    'the ranker',
    'saving',
  ];
  return [
    `Time, an estimate at the rates of such work, tried here now on ${rates.device} with ${rates.threads} ${rates.threads === 1 ? 'thread' : 'threads'} (GFLOP/s: ${gigaflops(rates.train)} in training, ${gigaflops(rates.score)} scoring, ${gigaflops(rates.prefill)} on prompts, ${gigaflops(rates.decode)} sampling)`,
    ...(fineTuneSeconds > 0
      ? [`  Supervised fine-tuning before the first iteration: ${duration(fineTuneSeconds)}`]
      : []),
    ...table([
      ['iteration', ...used.map(([, name]) => name)],
      ...(before.some((text) => text !== '') ? [['before', ...before]] : []),
      ...iterations.map((each) => [nameOf(each.iteration), ...used.map(([stage]) => duration(each[stage]))]),
      ['all', ...used.map(([stage]) => duration(sum(stage)))],
    ]),
    `About ${duration(totalSeconds)} in all${withTwin(recipe)}; without ${missing.join(', ')}`,
  ];
}

function withTwin({ evaluate: { twin } }: Recipe): string {
  switch (twin) {
    case false:
      return '';
    case true:
      return ', the alpha = 0 twin, which does the same again, included';
    case 'beside':
      return ', the alpha = 0 twin beside it included';
  }
}

/** Stages in their order, with the heads of their columns. */
const STAGES = [
  ['sampleSeconds', 'sample'],
  ['rewardModelSeconds', 'reward model'],
  ['referenceSeconds', 'reference'],
  ['trainSeconds', 'train'],
  ['exploreSeconds', 'explore'],
  ['evaluateSeconds', 'evaluate'],
  ['benchmarkSeconds', 'benchmark'],
] as const satisfies readonly (readonly [keyof IterationCost, string])[];

function memoryLines(stage: string, parts: readonly MemoryPart[]): string[] {
  const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  return [
    `  ${stage} ${gibibytes(total)}: ${parts.map(({ what, bytes }) => `${what} ${gibibytes(bytes)}`).join(', ')}`,
  ];
}

/** What a card's own libraries and its allocator's gaps take of its memory. */
const CARD_RESERVE_BYTES = 2 * 2 ** 30;

/** Whether the larger of the two fits a card, twice where a twin runs beside it, and what would. */
function fitLine(
  { training, evaluate }: Recipe,
  memory: NonNullable<Forecast['cost']>['memory'],
  { name, memoryBytes }: Pick<Gpu, 'name' | 'memoryBytes'>,
): string {
  const sum = (parts: readonly MemoryPart[]): number => parts.reduce((total, { bytes }) => total + bytes, 0);
  const processes = evaluate.twin === 'beside' ? 2 : 1;
  const needed = processes * (Math.max(sum(memory.training), sum(memory.sampling)) + CARD_RESERVE_BYTES);
  const both = `${gibibytes(needed)} with ${gibibytes(processes * CARD_RESERVE_BYTES)} for CUDA itself, of ${gibibytes(memoryBytes)}`;
  if (needed <= memoryBytes) return `  fits ${name}: ${both}`;
  const smaller = [
    ...(training.states === 'float32' ? ['training.states: bfloat16 (8 bytes a weight)'] : []),
    ...(training.adapter.kind === 'none' ? ['training.adapter: {kind: lora}'] : []),
    'training.microBatchTokens',
    'sampling.batchSize',
  ];
  return `  does not fit ${name}: ${both}; smaller with ${smaller.join(', ')}`;
}

function nameOf(iteration: number): string {
  return iteration === 0 ? 'warm start' : String(iteration);
}

/** Rows of cells as lines, the first column to the left and the others to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map(
    (row) =>
      `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart((widths[column] ?? 0) + 2))).join('')}`,
  );
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function gigaflops(flops: number): string {
  return (flops / 1e9).toFixed(0);
}

function gibibytes(bytes: number): string {
  return bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(0)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  return seconds < 172_800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86_400).toFixed(1)} days`;
}
