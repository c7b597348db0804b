/**
 * @file What the numbers of a report say, in words that promise no more than the intervals do: each policy's estimates,
 * the verdict between methods, and the warnings (known signs of a run that went wrong). Pure.
 */

import {
  byPrompt,
  type Interval,
  mean,
  meanByPrompt,
  meanDifference,
  quantile,
  type WinRate,
  winRate,
} from '../evaluate/statistics.ts';
import type { EvaluationData } from '../store/evaluations.ts';
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
  length: Interval;
  textHealth: Interval | null;
  finishedShare: number | null;
  klToBase: Interval | null;
  klToPrevious: Interval | null;
}

/** A method with its numbers; `policies[0]` is the base. */
export interface MethodNumbers {
  method: MethodReport;
  policies: PolicyNumbers[];
}

/** Numbers of every method, base first. Throws DataError where evaluations are empty or on different prompts. */
export function numbersOf(data: ReportData): MethodNumbers[] {
  const base = policyNumbers(data, 0, data.base);
  return data.methods.map((method) => ({
    method,
    policies: [
      base,
      ...method.iterations.map(({ iteration, evaluation }) => policyNumbers(data, iteration, evaluation)),
    ],
  }));
}

/** Numbers of one policy. */
export function policyNumbers(data: ReportData, iteration: number, evaluation: EvaluationData): PolicyNumbers {
  const rewards = byPrompt(evaluation.promptIds, evaluation.rewards);
  const base = byPrompt(data.base.promptIds, data.base.rewards);
  const seed = data.statisticsSeed;
  const { textHealth } = evaluation;
  return {
    iteration,
    reward: meanByPrompt(rewards, seed),
    rewardTop: quantile(evaluation.rewards, 0.9),
    winRate: evaluation === data.base ? null : winRate(rewards, base, seed),
    length: meanByPrompt(byPrompt(evaluation.promptIds, evaluation.lengths), seed),
    textHealth: textHealth === null ? null : meanByPrompt(byPrompt(evaluation.promptIds, textHealth), seed),
    finishedShare: evaluation.finishedShare,
    klToBase: evaluation.klToBase,
    klToPrevious: evaluation.klToPrevious,
  };
}

/** One sentence each: what every method gained over the base, then the first method against each other one. */
export function verdicts(data: ReportData): string[] {
  const base = byPrompt(data.base.promptIds, data.base.rewards);
  const lasts = data.methods.flatMap(({ name, iterations }) => {
    const last = iterations.at(-1);
    return last === undefined ? [] : [{ name, rewards: byPrompt(last.evaluation.promptIds, last.evaluation.rewards) }];
  });
  if (lasts.length === 0) return ['No method was evaluated: the numbers are those of the base.'];
  const [first, ...others] = lasts;
  const seed = data.statisticsSeed;
  return [
    ...lasts.map(({ name, rewards }) => gainSentence(name, meanDifference(rewards, base, seed))),
    ...(first === undefined
      ? []
      : others.map(({ name, rewards }) =>
          duelSentence(first.name, name, meanDifference(first.rewards, rewards, seed)),
        )),
  ];
}

function gainSentence(name: string, difference: Interval): string {
  switch (sideOf(difference)) {
    case 'above':
      return `${name} raised the mean reward by ${signedInterval(difference)} over the base.`;
    case 'below':
      return `${name} lowered the mean reward by ${signedInterval(difference)} against the base.`;
    case 'undecided':
      return `${name} is not told apart from the base: difference in mean reward ${signedInterval(difference)}, the interval holds 0.`;
  }
}

function duelSentence(first: string, other: string, difference: Interval): string {
  const numbers = `paired difference in mean reward ${signedInterval(difference)}`;
  switch (sideOf(difference)) {
    case 'above':
      return `${first} beat ${other}: ${numbers}.`;
    case 'below':
      return `${first} lost to ${other}: ${numbers}.`;
    case 'undecided':
      return `No winner between ${first} and ${other}: ${numbers}, the interval holds 0.`;
  }
}

function sideOf(difference: Interval): 'above' | 'below' | 'undecided' {
  if (difference.count < 2) return 'undecided'; // one prompt decides nothing
  if (difference.low > 0) return 'above';
  return difference.high < 0 ? 'below' : 'undecided';
}

/** Signs of a run that went wrong, one sentence each; empty where none was seen. */
export function warnings(data: ReportData): string[] {
  return numbersOf(data).flatMap(({ method, policies }) => [
    ...evaluationWarnings(method, policies),
    ...trainingWarnings(method),
    ...method.pairs.flatMap((counts) => pairWarnings(method.name, counts)),
  ]);
}

function evaluationWarnings({ name }: MethodReport, policies: PolicyNumbers[]): string[] {
  const base = policies[0];
  const last = policies.at(-1);
  if (base === undefined || last === undefined || base === last) return [];
  const found: string[] = [];
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
  for (const iteration of new Set(training.map((point) => point.iteration))) {
    const points = training.filter((point) => point.iteration === iteration);
    const tail = points.slice(-Math.max(1, Math.ceil(points.length / 10)));
    const average = (read: (point: (typeof tail)[number]) => number) => mean(tail.map(read));
    if (average(({ loss }) => loss) < 0.05 && average(({ accuracy }) => accuracy) === 1) {
      found.push(`${name}, iteration ${iteration}: loss under 0.05 at accuracy 1, over-optimised or leaked.`);
    }
    const chosen = average(({ rewardChosen }) => rewardChosen ?? 0);
    if (chosen < -0.1 && average(({ margin }) => margin) > 0) {
      found.push(
        `${name}, iteration ${iteration}: the chosen responses lose probability too (reward ${fixed(chosen, 2)}) while the margin grows.`,
      );
    }
  }
  return found;
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
