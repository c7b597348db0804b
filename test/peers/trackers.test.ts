/**
 * @file Real trackers take a run that stops and goes on: every step and every measure once. MLflow's and trackio's servers, and W&B's own
 * program against a stand-in of its server. They are looked for in ~/.cache/selm/trackers (`pip install mlflow trackio wandb`), or in the
 * folder of programs that SELM_TRACKERS names. Run: `npm run test:peers`.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { expect, it, onTestFinished } from 'vitest';
import { InterruptedError } from '../../src/errors.ts';
import { parseSftRecipe } from '../../src/recipe/load.ts';
import type { Notice } from '../../src/store/events.ts';
import { openTracking } from '../../src/track/tracking.ts';

const programs = process.env.SELM_TRACKERS ?? join(homedir(), '.cache', 'selm', 'trackers', 'bin');
const program = (name: string): string => join(programs, name);
const MLFLOW_PORT = 5917;
const TRACKIO_PORT = 5918;
const TIMEOUT_MS = 240_000;

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'selm-trackers-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a server, which ends with the test, and waits until it answers and has printed what is asked for; gives what it printed. */
async function startServer(
  command: string,
  args: readonly string[],
  {
    folder,
    url,
    environment = {},
    printed = /^/,
  }: { folder: string; url: string; environment?: Record<string, string>; printed?: RegExp },
): Promise<string> {
  const child = spawn(command, args, { cwd: folder, detached: true, env: { ...process.env, ...environment } });
  let said = '';
  const hear = (text: Buffer): void => {
    said += text.toString();
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  onTestFinished(() => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  });
  for (const untilMs = performance.now() + TIMEOUT_MS; performance.now() < untilMs; await sleep(500)) {
    const isUp = await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp && printed.test(said)) return said;
  }
  throw new Error(`${command} did not come up: ${said}`);
}

/** A run of three steps that is stopped after two of them, and goes on in another process; gives what it tells its user. */
async function runTwice(folder: string, tracker: Record<string, string>): Promise<Notice[]> {
  const value = { name: 'small', model: 'm', data: { train: 'rows.jsonl' }, training: { learningRate: 1 } };
  const recipe = parseSftRecipe({ ...value, track: [tracker] }, { workingDirectory: folder });
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
  return told;
}

const LOSSES = [
  [0, 1],
  [1, 0.5],
  [2, 1 / 3],
];

it.skipIf(!existsSync(program('mlflow')))(
  'MLflow has every step and every measure once',
  async () => {
    const folder = temporaryFolder();
    const url = `http://127.0.0.1:${MLFLOW_PORT}`;
    const store = `sqlite:///${join(folder, 'mlflow.db')}`;
    const given = ['server', '--host', '127.0.0.1', '--port', `${MLFLOW_PORT}`, '--workers', '1'];
    await startServer(program('mlflow'), [...given, '--backend-store-uri', store], { folder, url: `${url}/health` });
    const ask = async (path: string, body?: unknown): Promise<Record<string, unknown>> => {
      const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${url}/api/2.0/mlflow/${path}`, { ...init, headers });
      return (await answer.json()) as Record<string, unknown>;
    };
    const historyOf = async (runId: string, metric: string): Promise<[number, number][]> => {
      const { metrics = [] } = await ask(`metrics/get-history?run_id=${runId}&metric_key=${metric}`);
      return (metrics as { step?: number | string; value: number }[]).map(({ step = 0, value }) => [
        Number(step),
        value,
      ]);
    };
    expect(await runTwice(folder, { kind: 'mlflow', url })).toEqual([]);
    const { runs = [] } = await ask('runs/search', { experiment_ids: ['1'] });
    const [only, ...others] = runs as { info: { run_id: string; run_name: string; status: string } }[];
    expect(others).toEqual([]);
    expect(only?.info).toMatchObject({ run_name: 'small', status: 'FINISHED' });
    const id = only?.info.run_id ?? '';
    expect(await historyOf(id, 'loss')).toEqual(LOSSES);
    expect(await historyOf(id, 'eval_reward')).toEqual([[0, 0.25]]);
    expect(await historyOf(id, 'learning_rate')).toHaveLength(3);
  },
  TIMEOUT_MS,
);

it.skipIf(!existsSync(program('trackio')))(
  'trackio has every step and every measure once',
  async () => {
    const folder = temporaryFolder();
    const environment = {
      TRACKIO_DIR: join(folder, 'trackio'),
      GRADIO_SERVER_PORT: `${TRACKIO_PORT}`,
      BROWSER: 'true',
      PYTHONUNBUFFERED: '1',
    };
    const url = `http://127.0.0.1:${TRACKIO_PORT}`;
    const printed = /write_token=([\w-]+)\s/;
    const said = await startServer(program('trackio'), ['show'], { folder, url, environment, printed });
    const token = printed.exec(said)?.[1] ?? '';
    expect(await runTwice(folder, { kind: 'trackio', url: `${url}/?write_token=${token}` })).toEqual([]);
    const valuesOf = (metric: string): unknown => {
      const asked = ['get', 'metric', '--project', 'selm', '--run', 'small', '--metric', metric, '--json'];
      const text = execFileSync(program('trackio'), asked, {
        env: { ...process.env, ...environment },
        encoding: 'utf8',
      });
      const { values } = JSON.parse(text) as { values: { step: number; value: number }[] };
      return values.map(({ step, value }) => [step, value]);
    };
    expect(valuesOf('train/loss')).toEqual(LOSSES);
    expect(valuesOf('eval/reward')).toEqual([[0, 0.25]]);
  },
  TIMEOUT_MS,
);

/** Answers `wandb sync` as W&B's server does, as far as it asks; rows of each upload are kept by their place, as there. */
async function serveWandb(): Promise<{ url: string; rows: () => Record<string, number>[] }> {
  const rows: Record<string, number>[] = [];
  const bucket = {
    ...{ id: 'UnVu', name: 'small', displayName: 'small', config: '{}', historyLineCount: 0 },
    project: { id: 'p', name: 'selm', entity: { id: 'e', name: 'me' } },
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const sent = Buffer.concat(chunks);
      const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
      const path = request.url ?? '';
      if (path.includes('file_stream')) {
        const { files } = JSON.parse(body.toString()) as {
          files?: Record<string, { offset: number; content: string[] }>;
        };
        const history = files?.['wandb-history.jsonl'];
        history?.content.forEach((line, i) => {
          rows[history.offset + i] = JSON.parse(line) as Record<string, number>;
        });
      }
      const isUpsert = path === '/graphql' && body.toString().includes('UpsertBucket');
      const answer = path === '/graphql' ? { data: isUpsert ? { upsertBucket: { bucket, inserted: true } } : {} } : {};
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, rows: () => rows };
}

it.skipIf(!existsSync(program('wandb')))(
  "W&B's own program reads the folder and uploads every step and every measure once",
  async () => {
    const folder = temporaryFolder();
    const told = await runTwice(folder, { kind: 'wandb' });
    const [name = ''] = readdirSync(join(folder, 'wandb'));
    const made = join(folder, 'wandb', name);
    expect(told.at(-1)).toEqual({ kind: 'note', text: `W&B: wandb sync ${made}` });
    const inspected = execFileSync(program('wandb'), ['leet', 'inspect', '--summary', made], { encoding: 'utf8' });
    expect(inspected).toMatch(/state\s+finished \(exit code 0\)/);
    expect(inspected).toMatch(/training\.learningRate\s+1\n/);

    const server = await serveWandb();
    const environment = { ...process.env, WANDB_BASE_URL: server.url, WANDB_API_KEY: 'a'.repeat(40) };
    // Not execFileSync: the stand-in answers in this process.
    const child = spawn(program('wandb'), ['sync', made], { env: environment, stdio: 'ignore' });
    expect(await new Promise((done) => child.on('exit', done))).toBe(0);
    const valuesOf = (metric: string): unknown =>
      server.rows().flatMap((row) => (row[metric] === undefined ? [] : [[row['train/global_step'], row[metric]]]));
    expect(valuesOf('train/loss')).toEqual(LOSSES);
    expect(valuesOf('eval/reward')).toEqual([[0, 0.25]]);
  },
  TIMEOUT_MS,
);
