/** @file MLflow by its REST interface: one run of an experiment, found again by its id. */
import { z } from 'zod';
import { TrackerError } from '../errors.ts';
import { below, callJson } from './http.ts';
import { trainerName } from './names.ts';
import type { MetricSink, Outcome, TrackedRun, TrackedSoFar, TrackedStep } from './sink.ts';

/** What a call may hold (mlflow.org, REST API, Log Batch). */
const METRICS_A_CALL = 1000;
const PARAMETERS_A_CALL = 100;
const PARAMETER_CHARACTERS = 500;

const experimentSchema = z.object({ experiment: z.object({ experiment_id: z.string() }) });
const createdSchema = z.object({ experiment_id: z.string() });
const runSchema = z.object({
  run: z.object({
    info: z.object({ run_id: z.string() }),
    data: z
      .object({
        metrics: z.array(z.object({ key: z.string(), step: z.coerce.number().default(0) })).default([]),
      })
      .optional(),
  }),
});

const STATUS: Readonly<Record<Outcome, string>> = { finished: 'FINISHED', stopped: 'KILLED', failed: 'FAILED' };

export interface MlflowOptions {
  url: string;
  experiment: string;
  /** MLFLOW_TRACKING_TOKEN. */
  token: string | null;
  /** The run's id at the server that an earlier process got, and how to keep a new one. */
  known: string | null;
  keep: (id: string) => void;
  now?: () => number;
}

export function mlflowSink(run: TrackedRun, options: MlflowOptions): MetricSink {
  const { keep, experiment, now = Date.now } = options;
  const call = caller(options);
  let id = options.known;

  const experimentId = async (): Promise<string> => {
    const query = { experiment_name: experiment };
    const found = await ifThere(call('experiments/get-by-name', experimentSchema, { query }));
    if (found !== null) return found.experiment.experiment_id;
    return (await call('experiments/create', createdSchema, { body: { name: experiment } })).experiment_id;
  };
  /** Of a run that the server has; null of one that it has not. */
  const soFar = async (runId: string): Promise<TrackedSoFar | null> => {
    const found = await ifThere(call('runs/get', runSchema, { query: { run_id: runId } }));
    if (found === null) return null;
    // It names the last value of each metric.
    const metrics = found.run.data?.metrics ?? [];
    const last = metrics.find(({ key }) => key === 'loss');
    const measured = metrics.filter(({ key }) => key.startsWith('eval_'));
    return {
      nextStep: last === undefined ? 0 : last.step + 1,
      measured: Object.fromEntries(measured.map(({ key, step }) => [key.slice('eval_'.length), step])),
    };
  };
  const logBatch = (batch: object): Promise<unknown> =>
    call('runs/log-batch', z.unknown(), { body: { run_id: id, ...batch } });

  return {
    kind: 'mlflow',
    async open() {
      const known = id === null ? null : await soFar(id);
      if (id !== null && known !== null) {
        await call('runs/update', z.unknown(), { body: { run_id: id, status: 'RUNNING' } });
        return known;
      }
      const tags = [
        { key: 'mlflow.source.name', value: 'selm' },
        { key: 'selm.path', value: run.path },
      ];
      const about = { experiment_id: await experimentId(), run_name: run.name, start_time: now(), tags };
      const made = await call('runs/create', runSchema, { body: about });
      id = made.run.info.run_id;
      keep(id);
      const params = parametersOf(run.settings);
      for (let at = 0; at < params.length; at += PARAMETERS_A_CALL)
        await logBatch({ params: params.slice(at, at + PARAMETERS_A_CALL) });
      return { nextStep: 0, measured: {} };
    },
    async write(steps) {
      const metrics = steps.flatMap(metricsOf);
      for (let at = 0; at < metrics.length; at += METRICS_A_CALL)
        await logBatch({ metrics: metrics.slice(at, at + METRICS_A_CALL) });
    },
    async close(outcome) {
      const body = { run_id: id, status: STATUS[outcome], end_time: now() };
      if (id !== null) await call('runs/update', z.unknown(), { body });
      return null;
    },
  };
}

/** The loss last: a step whose loss is there is there whole. */
function metricsOf({ group, step, timeMs, values }: TrackedStep): Record<string, unknown>[] {
  const { loss, ...others } = values;
  const ordered = [...Object.entries(others), ...(loss === undefined ? [] : [['loss', loss] as const])];
  return ordered.map(([name, value]) => ({
    key: trainerName(group, name),
    value,
    timestamp: Math.round(timeMs),
    step,
  }));
}

/** Settings under their dotted names. */
function parametersOf(settings: Readonly<Record<string, unknown>>): { key: string; value: string }[] {
  const flat = (value: unknown, path: string): { key: string; value: string }[] => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return Object.entries(value).flatMap(([key, each]) => flat(each, path === '' ? key : `${path}.${key}`));
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return [{ key: path, value: text.slice(0, PARAMETER_CHARACTERS) }];
  };
  return flat(settings, '');
}

/** Calls the server: with a body by POST, else by GET. */
function caller({ url, token }: MlflowOptions) {
  return async <T>(
    path: string,
    schema: z.ZodType<T>,
    { query = {}, body }: { query?: Readonly<Record<string, string>>; body?: unknown },
  ): Promise<T> => {
    const address = below(url, `api/2.0/mlflow/${path}`);
    for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
    const answer = await callJson({
      service: 'MLflow',
      url: address,
      method: body === undefined ? 'GET' : 'POST',
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      body,
    });
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    throw new TrackerError('TRACKER_REFUSED', `MLflow answers ${path} in a form that is not known`, {
      details: { service: 'MLflow' },
    });
  };
}

/** What the server has, or null where it says that there is no such thing. */
async function ifThere<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof TrackerError && error.details.status === 404) return null;
    throw error;
  }
}
