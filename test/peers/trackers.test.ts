/**
 * @file A real MLflow server takes a run that stops and goes on: every step and every measure once. Needs MLflow in
 * ~/.cache/selm/trackers (`pip install mlflow`), or its command in SELM_MLFLOW. Run: `npm run test:peers`.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { InterruptedError } from '../../src/errors.ts';
import { parseSftRecipe } from '../../src/recipe/load.ts';
import type { Notice } from '../../src/store/events.ts';
import { openTracking } from '../../src/track/tracking.ts';

const command = process.env.SELM_MLFLOW ?? join(homedir(), '.cache', 'selm', 'trackers', 'bin', 'mlflow');
const PORT = 5917;
const url = `http://127.0.0.1:${PORT}`;

async function startMlflow(folder: string): Promise<void> {
  const store = `sqlite:///${join(folder, 'mlflow.db')}`;
  const given = ['server', '--host', '127.0.0.1', '--port', `${PORT}`, '--workers', '1', '--backend-store-uri', store];
  const child = spawn(command, given, { cwd: folder, detached: true, stdio: 'ignore' });
  onTestFinished(() => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  });
  for (const untilMs = performance.now() + 180_000; performance.now() < untilMs; await sleep(500)) {
    const isUp = await fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) return;
  }
  throw new Error('MLflow did not come up');
}

async function ask(path: string, body?: unknown): Promise<Record<string, unknown>> {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const answer = await fetch(`${url}/api/2.0/mlflow/${path}`, {
    ...init,
    headers: { 'content-type': 'application/json' },
  });
  return (await answer.json()) as Record<string, unknown>;
}

/** Values by step of a metric, each as often as the server has it. */
async function historyOf(runId: string, metric: string): Promise<[number, number][]> {
  const { metrics = [] } = await ask(`metrics/get-history?run_id=${runId}&metric_key=${metric}`);
  return (metrics as { step?: number | string; value: number }[]).map(({ step = 0, value }) => [Number(step), value]);
}

it.skipIf(!existsSync(command))(
  'MLflow has every step and every measure once, after a stop and another process',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'selm-mlflow-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    await startMlflow(folder);
    const value = { name: 'small', model: 'm', data: { train: 'rows.jsonl' }, training: { learningRate: 1 } };
    const recipe = parseSftRecipe({ ...value, track: [{ kind: 'mlflow', url }] }, { workingDirectory: folder });
    const valuesAt = (step: number): Record<string, number> => ({ loss: 1 / (step + 1), lr: 0.5 });
    const told: Notice[] = [];
    const run = async (steps: number[], before: number[], isStopped: boolean): Promise<void> => {
      const ledger = before.map((step) => ({
        ...({ iteration: 0, stage: 'sft', step, attempt: 1 } as const),
        values: valuesAt(step),
      }));
      const measured = () => [{ iteration: -1, values: { reward: 0.25 } }];
      const source = { path: folder, recipe, changes: [], ledger: { metrics: () => ledger }, measured };
      const announce = (notice: Notice): void => void told.push(notice);
      const tracking = openTracking(source, { announce, environment: {} });
      const running = tracking.during(async () => {
        const through = tracking.through(() => {}, { iteration: 0 });
        for (const step of steps) through({ kind: 'metrics', step, values: valuesAt(step) });
        if (isStopped) throw new InterruptedError('INTERRUPTED', 'as asked');
      });
      await (isStopped ? expect(running).rejects.toThrow(InterruptedError) : running);
    };
    await run([0, 1], [], true);
    await run([2], [0, 1], false);

    expect(told).toEqual([]);
    const { runs = [] } = await ask('runs/search', { experiment_ids: ['1'] });
    const [only, ...others] = runs as { info: { run_id: string; run_name: string; status: string } }[];
    expect(others).toEqual([]);
    expect(only?.info).toMatchObject({ run_name: 'small', status: 'FINISHED' });
    const id = only?.info.run_id ?? '';
    expect(await historyOf(id, 'loss')).toEqual([
      [0, 1],
      [1, 0.5],
      [2, 1 / 3],
    ]);
    expect(await historyOf(id, 'eval_reward')).toEqual([[0, 0.25]]);
    expect(await historyOf(id, 'learning_rate')).toHaveLength(3);
  },
  240_000,
);
