/** @file The contract of all trackers: what a sink promises, asked of each of them in the same words. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { InterruptedError } from '../errors.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { parseSftRecipe } from '../recipe/load.ts';
import { TRACKERS, type TrackerKind } from '../recipe/track.ts';
import type { RunChange } from '../store/changes.ts';
import type { Notice } from '../store/events.ts';
import type { StoredMetric } from '../store/ledger-rows.ts';
import { scalarsOf } from './event-file.testing.ts';
import type { MeasuredValues } from './measured.ts';
import { readRunFile, STEP_NAME } from './run-file.ts';
import { type FakeTracker, serveMlflow, serveTrackio } from './servers.testing.ts';
import { openTracking } from './tracking.ts';

/** A run of three steps an epoch whose loss falls, and one tracker that it tells. */
interface Place {
  kind: TrackerKind;
  path: string;
  server: FakeTracker | null;
  track: unknown[];
  kept: (run: string, metric: string) => [step: number, value: number][];
  /** Makes the tracker fail, or work again. */
  breakDown: (isBroken: boolean) => void;
}

async function place(kind: TrackerKind): Promise<Place> {
  const path = temporaryFolder();
  const server = kind === 'mlflow' ? await serveMlflow() : kind === 'trackio' ? await serveTrackio() : null;
  onTestFinished(async () => server?.close());
  const folder = (run: string): string => join(path, run.endsWith('-2') ? `${kind}-2` : kind);
  return {
    kind,
    path,
    server,
    track: [server === null ? kind : { kind, url: server.url }],
    kept: (run, metric) => {
      const name = kind === 'mlflow' ? metric.replace('eval/', 'eval_') : groupOf(metric);
      if (server !== null) return server.kept(run, name);
      if (kind === 'wandb') return rowsOf(folder(run), name);
      const files = readdirSync(folder(run)).map((file) => readFileSync(join(folder(run), file)));
      return scalarsOf(files, name);
    },
    breakDown: (isBroken) => {
      if (server !== null) server.failWith(isBroken ? 500 : null);
      else if (isBroken) writeFileSync(join(path, kind), 'in the way of a folder');
      else rmSync(join(path, kind));
    },
  };
}

/** Values by step of a metric in the one run that W&B's folder has. */
function rowsOf(folder: string, name: string): [step: number, value: number][] {
  const [file = '', ...others] = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((each) =>
    each.endsWith('.wandb'),
  );
  expect(others).toEqual([]);
  const { rows } = readRunFile(readFileSync(join(folder, file)));
  return rows.flatMap(({ values }): [number, number][] => {
    const value = values[name];
    return value === undefined ? [] : [[values[STEP_NAME] ?? Number.NaN, value]];
  });
}

/** Metrics of training are in their group; others name theirs. */
function groupOf(metric: string): string {
  return metric.startsWith('eval/') ? metric : `train/${metric}`;
}

/** One process of the run: makes the steps that are given, and ends as it is told. */
async function work(
  { path, track }: Place,
  {
    steps,
    ledger = [],
    measured = [],
    measuredNow = [],
    changes = [],
    ending = 'finished',
  }: {
    steps: readonly number[];
    ledger?: readonly number[];
    measured?: MeasuredValues[];
    measuredNow?: readonly MeasuredValues[];
    changes?: readonly RunChange[];
    ending?: 'finished' | 'stopped';
  },
): Promise<Notice[]> {
  const told: Notice[] = [];
  const valuesAt = (step: number): Record<string, number> => ({ loss: 1 / (step + 1), lr: 0.5, grad_norm: Number.NaN });
  const stored = ledger.map(
    (step): StoredMetric => ({ iteration: 0, stage: 'sft', step, attempt: 1, values: valuesAt(step) }),
  );
  const value = { name: 'small', model: 'model', data: { train: 'rows.jsonl' }, training: { learningRate: 1 }, track };
  const announce = (notice: Notice): void => void told.push(notice);
  const recipe = parseSftRecipe(value, { workingDirectory: path });
  const tracking = openTracking(
    { path, recipe, changes, ledger: { metrics: () => stored }, measured: () => measured },
    { announce, environment: {} },
  );
  const through = tracking.through(announce, { iteration: 0 });
  const running = tracking.during(async () => {
    for (const step of steps) {
      through({ kind: 'metrics', step, values: valuesAt(step) });
      stored.push({ iteration: 0, stage: 'sft', step, attempt: 1, values: valuesAt(step) });
    }
    // As the loop does it: the numbers are in the ledger, and the stage is finished.
    for (const each of measuredNow) {
      measured.push(each);
      const finished = { kind: 'stage-finished', stage: 'evaluate', seconds: 1, summary: '' } as const;
      tracking.through(announce, { iteration: each.iteration })(finished);
    }
    if (ending === 'stopped') throw new InterruptedError('INTERRUPTED', 'as asked');
  });
  if (ending === 'stopped') await expect(running).rejects.toThrow(InterruptedError);
  else await running;
  return told.filter(({ kind }) => kind !== 'metrics' && kind !== 'stage-finished');
}

const losses = (...steps: number[]): [number, number][] => steps.map((step) => [step, Math.fround(1 / (step + 1))]);
const rounded = (kept: [number, number][]): [number, number][] => kept.map(([step, loss]) => [step, Math.fround(loss)]);

describe.each(TRACKERS)('the tracker %s', (kind) => {
  it("gets every step under the trainer's names, without what is not a number", async () => {
    const at = await place(kind);
    await work(at, { steps: [0, 1, 2] });
    expect(rounded(at.kept('small', 'loss'))).toEqual(losses(0, 1, 2));
    expect(at.kept('small', 'learning_rate')).toEqual([0, 1, 2].map((step) => [step, 0.5]));
    expect(at.kept('small', 'grad_norm')).toEqual([]);
  });

  it('goes on in the same run, without a step twice, where a run went on from a checkpoint', async () => {
    const at = await place(kind);
    await work(at, { steps: [0, 1, 2], ending: 'stopped' });
    // The checkpoint is after step 1: step 2 is made again.
    await work(at, { steps: [2, 3], ledger: [0, 1] });
    expect(rounded(at.kept('small', 'loss'))).toEqual(losses(0, 1, 2, 3));
    if (at.server !== null) expect(at.server.runs()).toEqual(['small']);
  });

  it('gets what was measured of each model at the step behind its last, once, however often the run goes on', async () => {
    const at = await place(kind);
    const base = { iteration: -1, values: { reward: 0.25, kl: Number.NaN } };
    const first = { iteration: 0, values: { reward: 0.5, gsm8k: 0.125 } };
    await work(at, { steps: [0, 1], measuredNow: [base, first], ending: 'stopped' });
    // A benchmark was added since: its number alone is new.
    const more = { iteration: 0, values: { ...first.values, hellaswag: 0.75 } };
    await work(at, { steps: [], ledger: [0, 1], measured: [base, more], ending: 'stopped' });
    await work(at, { steps: [], ledger: [0, 1], measured: [base, more] });
    expect(rounded(at.kept('small', 'loss'))).toEqual(losses(0, 1));
    const kept = (measure: string) => at.kept('small', `eval/${measure}`);
    expect(kept('reward')).toEqual([
      [0, 0.25],
      [2, 0.5],
    ]);
    expect([kept('gsm8k'), kept('hellaswag')]).toEqual([[[2, 0.125]], [[2, 0.75]]]);
    expect(kept('kl')).toEqual([]);
  });

  it('that fails is said once, stops nothing, and gets what it missed when the run goes on', async () => {
    const at = await place(kind);
    at.breakDown(true);
    const told = await work(at, { steps: [0, 1], ending: 'stopped' });
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ kind: 'warning', text: expect.stringContaining(`The tracker ${kind}`) as string });
    at.breakDown(false);
    expect((await work(at, { steps: [2], ledger: [0, 1] })).filter((each) => each.kind === 'warning')).toEqual([]);
    expect(rounded(at.kept('small', 'loss'))).toEqual(losses(0, 1, 2));
  });

  it('gets another run where steps are made again with other settings', async () => {
    const at = await place(kind);
    await work(at, { steps: [0, 1], ending: 'stopped' });
    const changed = { field: 'training.learningRate', old: 1, new: 2 };
    const changes = [{ ...changed, effect: { kind: 'done-again' as const, from: 'train' as const } }];
    await work(at, { steps: [0, 1], changes });
    expect(rounded(at.kept('small', 'loss'))).toEqual(losses(0, 1));
    expect(rounded(at.kept('small-2', 'loss'))).toEqual(losses(0, 1));
  });
});

describe('servers of trackers', () => {
  it('MLflow hears how a run ended, and that it goes on', async () => {
    const at = await place('mlflow');
    await work(at, { steps: [0], ending: 'stopped' });
    expect(at.server?.statusOf('small')).toBe('KILLED');
    await work(at, { steps: [1], ledger: [0] });
    expect(at.server?.statusOf('small')).toBe('FINISHED');
  });

  it('a token in an address goes as a header and is not shown', async () => {
    const at = await place('trackio');
    const told = await work(
      { ...at, track: [{ kind: 'trackio', url: `${at.server?.url}/?write_token=s3cret` }] },
      { steps: [0] },
    );
    expect(told).toEqual([]);
    expect(at.server?.lastHeaders()['x-trackio-write-token']).toBe('s3cret');
    at.server?.failWith(403);
    const refused = await work(
      { ...at, track: [{ kind: 'trackio', url: `${at.server?.url}/?write_token=s3cret` }] },
      { steps: [1] },
    );
    expect(JSON.stringify(refused)).toContain('403');
    expect(JSON.stringify(refused)).not.toContain('s3cret');
  });

  it("W&B's folder goes on behind a torn record, and is uploaded again by the command that is said", async () => {
    const at = await place('wandb');
    const told = await work(at, { steps: [0, 1], ending: 'stopped' });
    const folder = join(at.path, 'wandb', readdirSync(join(at.path, 'wandb'))[0] ?? '');
    expect(told).toEqual([{ kind: 'note', text: `W&B: wandb sync ${folder}` }]);
    expect(folder).toMatch(/offline-run-\d{8}_\d{6}-small$/);
    const file = join(folder, 'run-small.wandb');
    // As a process leaves it that was killed in the middle of a record, and W&B's program when it has uploaded it.
    writeFileSync(file, readFileSync(file).subarray(0, -5));
    writeFileSync(`${file}.synced`, '');
    await work(at, { steps: [2], ledger: [0, 1] });
    expect(rounded(at.kept('small', 'loss'))).toEqual(losses(0, 1, 2));
    expect(readdirSync(folder)).toEqual(['run-small.wandb']);
  });

  it('a tracker that is not known is refused with those that are', () => {
    expect(() =>
      parseSftRecipe({
        name: 'a',
        model: 'm',
        data: { train: 'r' },
        training: { learningRate: 1 },
        track: ['tensorbord'],
      }),
    ).toThrow(/track.0 is "tensorbord": allowed is one of tensorboard, trackio, mlflow, wandb/);
  });

  it('an address in the environment that no server has is refused', () => {
    const value = { name: 'a', model: 'm', data: { train: 'r' }, training: { learningRate: 1 }, track: ['mlflow'] };
    const source = {
      path: temporaryFolder(),
      recipe: parseSftRecipe(value),
      changes: [],
      ledger: { metrics: () => [] },
    };
    const environment = { MLFLOW_TRACKING_URI: 'sqlite:///mlruns.db' };
    expect(() => openTracking(source, { announce: () => {}, environment })).toThrow(
      expect.objectContaining({ code: 'TRACKER_ADDRESS' }),
    );
  });
});
