/**
 * @file What the numbers of a report say, in words that promise no more than the intervals do: each policy's estimates,
 * the verdict between methods, and the warnings (known signs of a run that went wrong). Pure.
 */

import {
  byPrompt,
  FEWEST_PROMPTS,
  type Interval,
  mean,
  meanByPrompt,
  meanDifference,
  quantile,
  type WinRate,
} from '../evaluate/statistics.ts';
import type { EvaluationData } from '../store/evaluations.ts';
import { overBase, overPrevious } from '../store/win-rates.ts';
import type { MethodReport, ReportData } from './report-data.ts';

/** One policy of the report in numbers. */
export interface PolicyNumbers {
  /** 0 is the base. */
  iteration: number;
  reward: Interval;
  /** 90th percentile of the single rewards: exploring shows in the tail before it shows in the mean. */
  rewardTop: number;
  /** Against the base; null for the base itself. */
  winRate: WinRate | null;
  /** Against the iteration before; null for the base, and for the first iteration, whose previous policy is the base. */
  winRateOverPrevious: WinRate | null;
  length: Interval;
  textHealth: Interval | null;
  /** Share of responses without a token. */
  emptyShare: number;
  finishedShare: number | null;
  klToBase: Interval | null;
  klToPrevious: Interval | null;
}

/** A method with its numbers; `policies[0]` is the base. */
export interface MethodNumbers {
  method: MethodReport;
  policies: PolicyNumbers[];
}

/**
 * Numbers of every method, base first; no policies where nothing was measured. Throws DataError where evaluations are
 * empty or on different prompts.
 */
export function numbersOf({ base, methods, statisticsSeed }: ReportData): MethodNumbers[] {
  if (base === null) return methods.map((method) => ({ method, policies: [] }));
  const numbers = (iteration: number, evaluation: EvaluationData, previous: EvaluationData | null): PolicyNumbers =>
    policyNumbers(evaluation, { base, previous, iteration, seed: statisticsSeed });
  const first = numbers(0, base, null);
  return methods.map((method) => {
    const of = (wanted: number) => method.iterations.find(({ iteration }) => iteration === wanted)?.evaluation ?? null;
    const own = method.iterations.map(({ iteration, evaluation }) => numbers(iteration, evaluation, of(iteration - 1)));
    return { method, policies: [first, ...own] };
  });
}

/** Numbers of one policy beside the base. */
function policyNumbers(
  evaluation: EvaluationData,
  {
    base,
    previous,
    iteration,
    seed,
  }: { base: EvaluationData; previous: EvaluationData | null; iteration: number; seed: number },
): PolicyNumbers {
  const rewards = byPrompt(evaluation.promptIds, evaluation.rewards);
  const { textHealth } = evaluation;
  return {
    iteration,
    reward: meanByPrompt(rewards, seed),
    rewardTop: quantile(evaluation.rewards, 0.9),
    winRate: evaluation === base ? null : overBase(evaluation, base, seed),
    winRateOverPrevious: previous === null ? null : overPrevious(evaluation, previous, seed),
    emptyShare: mean(evaluation.lengths.map((length) => (length === 0 ? 1 : 0))),
    length: meanByPrompt(byPrompt(evaluation.promptIds, evaluation.lengths), seed),
    textHealth: textHealth === null ? null : meanByPrompt(byPrompt(evaluation.promptIds, textHealth), seed),
    finishedShare: evaluation.finishedShare,
    klToBase: evaluation.klToBase,
    klToPrevious: evaluation.klToPrevious,
  };
}

/** One sentence each: what every method gained over the base, then the first method against each other one. */
export function verdicts(data: ReportData): string[] {
  if (data.base === null)
    return [
      'Nothing was measured: the recipe has no held-out prompts (evaluate.prompts or evaluate.holdOut).',
      ...bestSentence(data),
    ];
  const base = byPrompt(data.base.promptIds, data.base.rewards);
  const lasts = data.methods.flatMap(({ name, iterations }) => {
    const last = iterations.at(-1);
    return last === undefined ? [] : [{ name, rewards: byPrompt(last.evaluation.promptIds, last.evaluation.rewards) }];
  });
  const [first, ...others] = lasts;
  if (first === undefined) return ['No trained model was measured yet: the numbers are those of the base.'];
  const seed = data.statisticsSeed;
  return [
    ...lasts.map(({ name, rewards }) => gainSentence(name, meanDifference(rewards, base, seed))),
    ...numbersOf(data).flatMap(({ method, policies }) => lastStepSentence(method.name, policies.at(-1))),
    ...bestSentence(data),
    ...others.map(({ name, rewards }) => duelSentence(first.name, name, meanDifference(first.rewards, rewards, seed))),
  ];
}

function gainSentence(name: string, difference: Interval): string {
  const on = `on ${promptCount(difference)}`;
  switch (sideOf(difference)) {
    case 'above':
      return `${name} raised the mean reward by ${signedInterval(difference)} over the base, ${on}.`;
    case 'below':
      return `${name} lowered the mean reward by ${signedInterval(difference)} against the base, ${on}.`;
    case 'undecided':
      return `${name} and the base cannot be told apart: difference in mean reward ${signedInterval(difference)} ${on}, the interval holds 0.`;
    case 'too few':
      return `Too few prompts to say whether ${name} is better than the base: ${promptCount(difference)}, and ${FEWEST_PROMPTS} are needed; difference in mean reward ${signed(difference.value, 3)}.`;
  }
}

/** The last iteration against the one before it. */
function lastStepSentence(name: string, last: PolicyNumbers | undefined): string[] {
  const rate = last?.winRateOverPrevious ?? null;
  if (last === undefined || rate === null) return [];
  const [own, before] = [`${name}'s iteration ${last.iteration}`, `iteration ${last.iteration - 1}`];
  const numbers = `win rate ${plainInterval(rate)} on ${promptCount(rate)}`;
  switch (sideOf({ ...rate, low: rate.low - 0.5, high: rate.high - 0.5 })) {
    case 'above':
      return [`${own} beat ${before}: ${numbers}.`];
    case 'below':
      return [`${own} lost to ${before}: ${numbers}.`];
    case 'undecided':
      return [`${own} and ${before} cannot be told apart: ${numbers}.`];
    case 'too few':
      return [
        `Too few prompts to say whether ${own} beat ${before}: ${promptCount(rate)} of ${FEWEST_PROMPTS}; win rate ${fixed(rate.value, 3)}.`,
      ];
  }
}

/** The iteration that is kept as the best: its value was chosen for being high. */
function bestSentence({ best }: ReportData): string[] {
  if (best === null) return [];
  const { measure, iteration, value, overBase } = best;
  const base = overBase === null ? '' : `, ${signedInterval(overBase)} against the base`;
  return [
    `Kept as best by ${measure}: iteration ${iteration}, ${plainInterval(value)} on ${value.count} items${base}; chosen on them.`,
  ];
}

/** Of two models of one seed: another seed, or sums in another order, may turn it round, so the sentence says so. */
function duelSentence(first: string, other: string, difference: Interval): string {
  const numbers = `paired difference in mean reward ${signedInterval(difference)} on ${promptCount(difference)}`;
  switch (sideOf(difference)) {
    case 'above':
      return `${first} beat ${other}: ${numbers}, one seed.`;
    case 'below':
      return `${first} lost to ${other}: ${numbers}, one seed.`;
    case 'undecided':
      return `No winner between ${first} and ${other}: ${numbers}, the interval holds 0.`;
    case 'too few':
      return `Too few prompts to say whether ${first} beat ${other}: ${promptCount(difference)}, and ${FEWEST_PROMPTS} are needed; difference in mean reward ${signed(difference.value, 3)}.`;
  }
}

function promptCount({ count }: Interval): string {
  return count === 1 ? '1 prompt' : `${count} prompts`;
}

/** What an interval of a difference says; nothing of fewer than FEWEST_PROMPTS. */
export function sideOf({ count, low, high }: Interval): 'above' | 'below' | 'undecided' | 'too few' {
  if (count < FEWEST_PROMPTS) return 'too few';
  if (low > 0) return 'above';
  return high < 0 ? 'below' : 'undecided';
}

/** Signs of a run that went wrong, one sentence each; empty where none was seen. */
export function warnings(data: ReportData): string[] {
  const found = numbersOf(data).flatMap(({ method, policies }) => [
    ...evaluationWarnings(method, policies),
    ...trainingWarnings(method),
    ...method.pairs.flatMap((counts) => pairWarnings(method.name, counts)),
  ]);
  return [...new Set(found)]; // what holds for the base is said once
}

function evaluationWarnings({ name }: MethodReport, policies: PolicyNumbers[]): string[] {
  const base = policies[0];
  const last = policies.at(-1);
  if (base === undefined || last === undefined || base === last) return [];
  const found: string[] = [];
  for (const [who, { emptyShare }] of [
    ['the base', base],
    [name, last],
  ] as const) {
    if (emptyShare > 0.1) found.push(`${percent(emptyShare)} of the responses of ${who} are empty.`);
  }
  const baseHealth = base.textHealth?.value ?? Number.NaN;
  const lastHealth = last.textHealth?.value ?? Number.NaN;
  if (lastHealth < baseHealth - 0.05) {
    found.push(
      `${name}: the text got less sound, ${fixed(baseHealth, 3)} to ${fixed(lastHealth, 3)}: the reward may be gamed.`,
    );
  }
  const growth = last.length.value / base.length.value;
  if (growth > 2 || growth < 0.5) found.push(`${name}: responses are ${fixed(growth, 1)} times as long as the base's.`);
  if (last.finishedShare !== null && base.finishedShare !== null && last.finishedShare < base.finishedShare - 0.1) {
    found.push(
      `${name}: fewer responses end by themselves, ${percent(base.finishedShare)} to ${percent(last.finishedShare)}.`,
    );
  }
  if (last.winRate !== null && last.reward.value > base.reward.value && last.winRate.value < 0.5) {
    found.push(
      `${name}: the mean reward rose but the win rate is ${percent(last.winRate.value)}: a few prompts carry it.`,
    );
  }
  return found;
}

function trainingWarnings({ name, training }: MethodReport): string[] {
  const found: string[] = [];
  if (training.some(({ loss, margin }) => !Number.isFinite(loss) || !Number.isFinite(margin))) {
    found.push(`${name}: a loss or margin is not finite.`);
  }
  const overOptimised: number[] = [];
  const losing: { iteration: number; reward: number }[] = [];
  for (const iteration of new Set(training.map((point) => point.iteration))) {
    const points = training.filter((point) => point.iteration === iteration);
    const tail = points.slice(-Math.max(1, Math.ceil(points.length / 10)));
    const average = (read: (point: (typeof tail)[number]) => number) => mean(tail.map(read));
    if (average(({ loss }) => loss) < 0.05 && average(({ accuracy }) => accuracy) === 1) overOptimised.push(iteration);
    const reward = average(({ rewardChosen }) => rewardChosen ?? 0);
    if (reward < -0.1 && average(({ margin }) => margin) > 0) losing.push({ iteration, reward });
  }
  if (overOptimised.length > 0) {
    found.push(`${name}, ${iterationText(overOptimised)}: loss under 0.05 at accuracy 1, over-optimised or leaked.`);
  }
  if (losing.length > 0) {
    const rewards = losing.map(({ reward }) => fixed(reward, 2));
    const where = iterationText(losing.map(({ iteration }) => iteration));
    found.push(
      `${name}, ${where}: the chosen responses lose probability too (reward ${rewards.join(', ')}) while the margin grows.`,
    );
  }
  return found;
}

/** `iteration 2`, `iterations 1 and 3`, `iterations 1, 2 and 3`. */
function iterationText(iterations: readonly number[]): string {
  const last = iterations.at(-1) ?? 0;
  if (iterations.length === 1) return `iteration ${last}`;
  return `iterations ${iterations.slice(0, -1).join(', ')} and ${last}`;
}

function pairWarnings(name: string, counts: MethodReport['pairs'][number]): string[] {
  const skipped = counts.skipped.reduce((total, { count }) => total + count, 0);
  const share = skipped / Math.max(1, skipped + counts.pairs);
  return share > 0.1 ? [`${name}, iteration ${counts.iteration}: ${percent(share)} of the prompts gave no pair.`] : [];
}

/** `+0.123 [+0.100, +0.140]`. */
export function signedInterval({ value, low, high }: Interval, digits = 3): string {
  return `${signed(value, digits)} [${signed(low, digits)}, ${signed(high, digits)}]`;
}

/** `0.123 [0.100, 0.140]`. */
export function plainInterval({ value, low, high }: Interval, digits = 3): string {
  return `${fixed(value, digits)} [${fixed(low, digits)}, ${fixed(high, digits)}]`;
}

/** A number with a fixed count of decimals and a true minus sign; `n/a` where there is none. */
export function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return 'n/a';
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** `63.2 %`. */
export function percent(share: number): string {
  return Number.isFinite(share) ? `${fixed(100 * share, 1)} %` : 'n/a';
}

function signed(value: number, digits: number): string {
  const text = fixed(value, digits);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}
