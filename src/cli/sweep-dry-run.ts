/** @file `selm sweep --dry-run`: what every run will roughly cost, and the sum. Nothing is sampled, nothing written. */

import { shorterPath } from '../files/command-line.ts';
import type { RecipeFacts } from '../forecast/facts.ts';
import type { Forecast } from '../forecast/forecast.ts';
import type { TrialFacts } from '../forecast/rates.ts';
import type { WorkRates } from '../forecast/time.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { PlannedRun, SweepPlan } from '../sweep/plan.ts';
import { type Standing, standingOf } from '../sweep/standing.ts';
import { formatDuration, formatTable } from './format.ts';

/** The forecast of one run. */
export interface RunForecast {
  arm: string;
  seed: number;
  path: string;
  standing: Standing['kind'];
  iterations: number;
  steps: number;
  sampledTokens: number | null;
  trainedTokens: number | null;
  /** Of the whole run; 0 where it is finished, null where the model is not known. */
  seconds: number | null;
}

/** The rates of this machine at the work of a recipe. */
type Rates = (recipe: Recipe, facts: TrialFacts) => Promise<WorkRates>;

const measured: Rates = async (recipe, facts) => (await import('../forecast/rates.ts')).measureRates(recipe, facts);

/** The forecast of a sweep as text or as JSON. */
export async function dryRunSweep(
  plan: SweepPlan,
  { json, parallel, rates = measured }: { json?: true; parallel?: number; rates?: Rates },
): Promise<string> {
  const lanes = parallel ?? plan.sweep.parallel;
  const runs = await forecastRuns(plan.runs, rates);
  const total = runs.reduce<number | null>(
    (sum, { seconds }) => (sum === null || seconds === null ? null : sum + seconds),
    0,
  );
  if (json) return JSON.stringify({ sweep: plan.sweep.name, parallel: lanes, runs, totalSeconds: total });
  return describeForecasts(plan, runs, { total, lanes });
}

/** What a trial depends on: arms that differ in their objective or their learning rate share one. */
function trialKey(
  { model, device, threads, evaluate, sampling, training }: Recipe,
  { tokens, together }: TrialFacts,
): string {
  const { dtype, states, adapter, activations, microBatchTokens, batchSize } = training;
  return JSON.stringify([
    [model, device, threads, evaluate.twin === 'beside', tokens, together, sampling],
    [dtype, states, adapter, activations, microBatchTokens, batchSize],
  ]);
}

/** An arm's runs differ in their seeds alone: one forecast is made for all of them. */
async function forecastRuns(runs: readonly PlannedRun[], rates: Rates): Promise<RunForecast[]> {
  const { forecast } = await import('../forecast/forecast.ts');
  const known = new Map<string, WorkRates>();
  const ratesOf = async (recipe: Recipe, facts: TrialFacts): Promise<WorkRates> => {
    const key = trialKey(recipe, facts);
    const found = known.get(key) ?? (await rates(recipe, facts));
    known.set(key, found);
    return found;
  };
  const facts = new Map<string, RecipeFacts>();
  const byArm = new Map<string, Forecast>();
  const found: RunForecast[] = [];
  for (const run of runs) {
    const { arm, seed, recipe } = run;
    const made =
      byArm.get(arm) ?? (await forecast(recipe, { rows: null, known: facts, rates: (each) => ratesOf(recipe, each) }));
    byArm.set(arm, made);
    const { iterations, cost } = made;
    const standing = standingOf(recipe).kind;
    const sum = (read: (each: NonNullable<Forecast['cost']>['iterations'][number]) => number): number | null =>
      cost === null ? null : cost.iterations.reduce((total, each) => total + read(each), 0);
    found.push({
      arm,
      seed,
      path: recipe.output,
      standing,
      iterations: recipe.iterations,
      steps: iterations.reduce((total, { schedule }) => total + schedule.totalSteps, 0),
      sampledTokens: sum(({ sampledTokens }) => sampledTokens),
      trainedTokens: sum(({ trainedTokens }) => trainedTokens),
      seconds: standing === 'finished' ? 0 : (cost?.totalSeconds ?? null),
    });
  }
  return found;
}

function describeForecasts(
  { sweep, arms }: SweepPlan,
  runs: readonly RunForecast[],
  { total, lanes }: { total: number | null; lanes: number },
): string {
  const count = (value: number | null): string => (value === null ? '' : Math.round(value).toLocaleString('en-US'));
  const rows = runs.map((run) => [
    run.arm,
    String(run.seed),
    run.standing,
    String(run.iterations),
    count(run.steps),
    count(run.sampledTokens),
    count(run.trainedTokens),
    run.seconds === null ? 'unknown' : formatDuration(run.seconds),
  ]);
  const head = ['arm', 'seed', 'is', 'iterations', 'steps', 'sampled', 'trained on', 'time'];
  const begun = runs.some(({ standing }) => standing === 'begun')
    ? '; of runs that have begun, all of it is counted'
    : '';
  const time =
    total === null
      ? 'Time: unknown, the model of a run is not on this machine'
      : `About ${formatDuration(total)} of work in all, an estimate at the rates measured here now: products alone, without rankers and files${begun}`;
  const beside =
    lanes > 1 ? [`${lanes} runs at a time: less where each leaves cores idle, not where they share them.`] : [];
  return [
    `Sweep "${sweep.name}": ${arms.length} arms, ${runs.length} runs in ${shorterPath(sweep.output)}`,
    '',
    formatTable(head, rows),
    '',
    time,
    ...beside,
    `One run in full: selm train ${shorterPath(sweep.recipe)} --dry-run`,
    'A dry run: nothing was sampled, trained or written.',
  ].join('\n');
}
