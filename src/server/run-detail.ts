/** @file What the page of one run shows: its facts, settings and stages, and its curves. */
import type { EvaluationData } from '../store/evaluations.ts';
import type { LedgerViews } from '../store/ledger-views.ts';
import { evaluationsOf } from '../store/measured.ts';
import { type LoggedEvent, lastEvents } from '../store/read-events.ts';
import type { AnyRecipe } from '../store/run-config.ts';
import type { Curve, Curves, RunDetail } from './api.ts';
import type { OpenedRun } from './open-runs.ts';
import { summaryOf } from './summary.ts';

/** Lines of the log that the page of a run begins with, and how far back they are looked for. */
const LOG_LINES = 200;
const LOG_BYTES = 256 * 1024;

/** The page of a run. */
export async function detailOf(run: OpenedRun): Promise<RunDetail> {
  const { listed, config, views, series } = run;
  // The id first: what happens from here on is seen again behind it, and nothing is missed.
  const { lastId, events } = lastEvents(listed.path, { mostBytes: LOG_BYTES });
  await series.refresh(views);
  return {
    ...summaryOf({ ...run, events: events.map(({ event }) => event) }),
    path: listed.path,
    settings: settingsOf(config.recipe),
    stages: views.ledger.stages
      .all()
      .map(({ iteration, stage, status, seconds, attempt }) => ({ iteration, stage, status, seconds, attempt })),
    metrics: { steps: series.names(), iterations: iterationCurves(views).map(({ name }) => name) },
    pairCounts: views.pairCounts(),
    hasReport: 'ranker' in config.recipe,
    log: events
      .map(({ event }) => event)
      .filter(isLogged)
      .slice(-LOG_LINES),
    lastEventId: lastId,
  };
}

/** Curves of a run by their names, over steps of at most about `points` points; all that are over iterations. */
export async function curvesOf(
  { series, views }: OpenedRun,
  names: readonly string[],
  points: number,
): Promise<Curves> {
  await series.refresh(views);
  const { curves, starts } = series.curves(names, points);
  return { steps: curves, iterations: iterationCurves(views), starts, measured: series.measured };
}

/** What was measured of whole iterations: on held-out prompts, of the samples, of exploration. */
function iterationCurves(views: LedgerViews): Curve[] {
  const measured = [...evaluationsOf(views.ledger)].map(([iteration, { data }]) => ({ iteration, data }));
  const held = (name: string, read: (data: EvaluationData) => number | null | undefined): Curve => ({
    name,
    ...pointsOf(measured.map(({ iteration, data }) => [iteration, read(data)])),
  });
  const lengths = views.responseLengths().map(({ iteration, tokens }): Point => [iteration, tokens]);
  const explored = views.ledger
    .records('exploration')
    .map(({ iteration, record }): Point => [iteration, mean(record.logRatios)]);
  const rates = views.ledger.records('win-rates');
  const curves = [
    { name: 'win rate over base', ...pointsOf(rates.map(({ iteration, record }) => [iteration, record.base?.value])) },
    {
      name: 'win rate over previous',
      ...pointsOf(rates.map(({ iteration, record }) => [iteration, record.previous?.value])),
    },
    held('reward, held out', ({ rewards }) => mean(rewards)),
    held('KL to base', ({ klToBase }) => klToBase?.value),
    held('KL to previous', ({ klToPrevious }) => klToPrevious?.value),
    held('length, held out', (data) => mean(data.lengths)),
    held('ended by itself', ({ finishedShare }) => finishedShare),
    held('text soundness', ({ textHealth }) => (textHealth === null ? null : mean(textHealth))),
    { name: 'length, samples', ...pointsOf(lengths) },
    { name: 'exploration: log-ratio of y', ...pointsOf(explored) },
  ];
  return curves.filter(({ y }) => y.some((value) => value !== null));
}

/** What a person reads in a log: not the numbers, which are in the curves. */
function isLogged({ kind }: LoggedEvent): boolean {
  return kind !== 'heartbeat' && kind !== 'stage-progress' && kind !== 'metrics' && kind !== 'stage-started';
}

type Point = [iteration: number, value: number | null | undefined];

function pointsOf(points: readonly Point[]): Omit<Curve, 'name'> {
  const finite = (value: number | null | undefined) => (Number.isFinite(value) ? (value ?? null) : null);
  return { x: points.map(([iteration]) => iteration), y: points.map(([, value]) => finite(value)) };
}

function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length;
}

function settingsOf(recipe: AnyRecipe): RunDetail['settings'] {
  return Object.entries(recipe).flatMap(([key, value]) => flat(key, value));
}

/** A setting by its path in the recipe, as `--set` takes it; sections are taken apart. */
function flat(label: string, value: unknown): { label: string; value: string }[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return [{ label, value: typeof value === 'string' ? value : (JSON.stringify(value) ?? '') }];
  return Object.entries(value).flatMap(([key, part]) => flat(`${label}.${key}`, part));
}
