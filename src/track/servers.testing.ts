/** @file Loopback servers that keep what trackers send them, as far as the real ones do. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeTracker {
  url: string;
  /** Values by step of every metric, each as often as it was kept, by run name. */
  kept(run: string, metric: string): [step: number, value: number][];
  /** Runs there are. */
  runs(): string[];
  statusOf(run: string): string | null;
  /** Answers every call with this status from now on; null: as it should. */
  failWith(status: number | null): void;
  /** Headers of the last call. */
  lastHeaders(): IncomingMessage['headers'];
  close(): Promise<void>;
}

interface KeptRun {
  name: string;
  status: string | null;
  metrics: { key: string; step: number; value: number }[];
  logIds: Set<string>;
}

type Answer = { status?: number; body: unknown };
type Handler = (path: string, query: URLSearchParams, body: Record<string, unknown>) => Answer;

async function serve(runs: Map<string, KeptRun>, handler: Handler): Promise<FakeTracker> {
  let failing: number | null = null;
  let headers: IncomingMessage['headers'] = {};
  const server = createServer((request, response) => {
    headers = request.headers;
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://localhost');
      const text = Buffer.concat(chunks).toString();
      const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
      const { status = 200, body: answer } =
        failing === null
          ? handler(url.pathname, url.searchParams, body)
          : { status: failing, body: { error: 'broken' } };
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const runOf = (name: string): KeptRun | undefined => [...runs.values()].find((run) => run.name === name);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    kept: (name, metric) =>
      (runOf(name)?.metrics ?? []).filter(({ key }) => key === metric).map(({ step, value }) => [step, value]),
    runs: () => [...runs.values()].map(({ name }) => name),
    statusOf: (name) => runOf(name)?.status ?? null,
    failWith: (status) => {
      failing = status;
    },
    lastHeaders: () => headers,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** trackio: a log with an id that is there already is not kept again. */
export function serveTrackio(): Promise<FakeTracker> {
  const runs = new Map<string, KeptRun>();
  return serve(runs, (path, _, body) => {
    if (path !== '/api/bulk_log') return { status: 404, body: { error: 'Unknown API' } };
    const logs = body.logs as { project: string; run: string; step: number; metrics: object; log_id: string }[];
    for (const { run: name, step, metrics, log_id: id } of logs) {
      const run = runs.get(name) ?? { name, status: null, metrics: [], logIds: new Set() };
      runs.set(name, run);
      if (run.logIds.has(id)) continue;
      run.logIds.add(id);
      for (const [key, value] of Object.entries(metrics)) run.metrics.push({ key, step, value: Number(value) });
    }
    return { body: { data: null } };
  });
}

/** MLflow: keeps whatever comes, twice what comes twice. */
export function serveMlflow(): Promise<FakeTracker> {
  const runs = new Map<string, KeptRun>();
  const experiments = new Map<string, string>();
  return serve(runs, (path, query, body) => {
    const id = String(body.run_id ?? query.get('run_id'));
    const run = runs.get(id);
    switch (path.replace('/api/2.0/mlflow/', '')) {
      case 'experiments/get-by-name': {
        const found = experiments.get(query.get('experiment_name') ?? '');
        return found === undefined
          ? { status: 404, body: { error_code: 'RESOURCE_DOES_NOT_EXIST' } }
          : { body: { experiment: { experiment_id: found } } };
      }
      case 'experiments/create':
        experiments.set(String(body.name), String(experiments.size + 1));
        return { body: { experiment_id: String(experiments.size) } };
      case 'runs/create': {
        const newId = `run${runs.size}`;
        runs.set(newId, { name: String(body.run_name), status: 'RUNNING', metrics: [], logIds: new Set() });
        return { body: { run: { info: { run_id: newId }, data: {} } } };
      }
      case 'runs/get': {
        if (run === undefined) return { status: 404, body: { error_code: 'RESOURCE_DOES_NOT_EXIST' } };
        const latest = new Map(run.metrics.map((metric) => [metric.key, metric]));
        return { body: { run: { info: { run_id: id }, data: { metrics: [...latest.values()] } } } };
      }
      case 'runs/log-batch':
        run?.metrics.push(...((body.metrics ?? []) as KeptRun['metrics']));
        return { body: {} };
      case 'runs/update':
        if (run !== undefined) run.status = String(body.status);
        return { body: {} };
      default:
        return { status: 404, body: { error_code: 'ENDPOINT_NOT_FOUND' } };
    }
  });
}
