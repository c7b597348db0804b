/** @file From the setting `track` to sinks: where each tracker is, and what it knows of the run. */
import { join } from 'node:path';
import { RecipeError } from '../errors.ts';
import type { TrackerSettings } from '../recipe/track.ts';
import { mlflowSink } from './mlflow.ts';
import type { MetricSink, TrackedRun } from './sink.ts';
import type { TrackingState } from './state.ts';
import { tensorboardSink } from './tensorboard.ts';
import { trackioSink } from './trackio.ts';
import { wandbSink } from './wandb.ts';

/** Trackers show runs of one project together; this is its name where the recipe says no other. */
const PROJECT = 'selm';
const TRACKIO_URL = 'http://127.0.0.1:7860';
const MLFLOW_URL = 'http://127.0.0.1:5000';

export interface SinkOptions {
  state: TrackingState;
  /** @default process.env */
  environment?: Readonly<Record<string, string | undefined>> | undefined;
}

/** Opens a sink; nothing is written or called yet. RecipeError TRACKER_ADDRESS for an address that is none. */
export function openSink(
  run: TrackedRun,
  { kind, url, project }: TrackerSettings,
  { state, environment = process.env }: SinkOptions,
): MetricSink {
  const given = (name: string): string | null => environment[name] || null;
  const generation = state.generation;
  // A run that was begun anew is another run of the tracker.
  const named = generation === 1 ? run : { ...run, name: `${run.name}-${generation}` };
  const folderOf = (name: string): string => (generation === 1 ? name : `${name}-${generation}`);
  const known = state.of(kind);
  switch (kind) {
    case 'tensorboard':
      return tensorboardSink(join(run.path, folderOf('tensorboard')));
    case 'wandb':
      return wandbSink(named, { project: project ?? given('WANDB_PROJECT') ?? PROJECT, folder: folderOf('wandb') });
    case 'trackio':
      return trackioSink(named, {
        url: address(kind, url ?? given('TRACKIO_SERVER_URL') ?? TRACKIO_URL),
        project: project ?? given('TRACKIO_PROJECT') ?? PROJECT,
        writeToken: given('TRACKIO_WRITE_TOKEN'),
        hubToken: given('HF_TOKEN'),
        id: `${state.id}/${generation}`,
        known: { nextStep: known.nextStep ?? 0, measured: known.measured ?? {} },
      });
    case 'mlflow':
      return mlflowSink(named, {
        url: address(kind, url ?? given('MLFLOW_TRACKING_URI') ?? MLFLOW_URL),
        experiment: project ?? given('MLFLOW_EXPERIMENT_NAME') ?? PROJECT,
        token: given('MLFLOW_TRACKING_TOKEN'),
        known: known.id ?? null,
        keep: (id) => state.put(kind, { id }),
      });
    default:
      return kind satisfies never;
  }
}

/** An address of a server; MLflow's variable may also name a folder or a database, which its own program serves. */
function address(kind: TrackerSettings['kind'], url: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw new RecipeError(
    'TRACKER_ADDRESS',
    `Cannot track with ${kind}: its address is not an http address: set url in the recipe's track, such as {kind: ${kind}, url: "http://127.0.0.1:5000"}`,
    { details: { kind } },
  );
}
