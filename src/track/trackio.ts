/** @file trackio, Hugging Face's tracker: its server's `bulk_log`. Every step has an id, and the server keeps one log for each id. */
import { sha256 } from '../files/hash.ts';
import { below, callJson } from './http.ts';
import { groupedName } from './names.ts';
import type { MetricSink, TrackedRun, TrackedSoFar, TrackedStep } from './sink.ts';

/** Steps in one call. */
const STEPS_A_CALL = 500;

export interface TrackioOptions {
  /** May hold a write_token, as `trackio show` gives it. */
  url: string;
  project: string;
  /** TRACKIO_WRITE_TOKEN, for a server of one's own. */
  writeToken: string | null;
  /** HF_TOKEN, for a Space. */
  hubToken: string | null;
  /** What names the run beyond its name: a run that is begun anew is another one. */
  id: string;
  /** What earlier processes handed over. The server says nothing of what it has. */
  known: TrackedSoFar;
}

export function trackioSink(
  run: TrackedRun,
  { url, project, hubToken, id, known, ...options }: TrackioOptions,
): MetricSink {
  const address = new URL(url);
  const writeToken = options.writeToken ?? address.searchParams.get('write_token');
  const log = (logs: readonly unknown[]): Promise<unknown> =>
    callJson({
      service: 'trackio',
      url: below(url, 'api/bulk_log'),
      headers: {
        ...(writeToken === null ? {} : { 'x-trackio-write-token': writeToken }),
        ...(hubToken === null ? {} : { authorization: `Bearer ${hubToken}` }),
      },
      // The token of a Space goes as a header; the argument has to be there.
      body: { logs, hf_token: null },
    });
  return {
    kind: 'trackio',
    open: async () => known,
    async write(steps) {
      for (let at = 0; at < steps.length; at += STEPS_A_CALL) {
        const logs = steps.slice(at, at + STEPS_A_CALL).map(({ group, step, timeMs, values }) => ({
          project,
          run: run.name,
          step,
          metrics: Object.fromEntries(Object.entries(values).map(([name, value]) => [groupedName(group, name), value])),
          timestamp: new Date(timeMs).toISOString(),
          log_id: sha256(idOf({ id, group, step, values })).slice(0, 32),
          config: step === 0 ? run.settings : null,
        }));
        await log(logs);
      }
    },
    close: async () => null,
  };
}

/** What names a log: a step of training, or some measures of a model, which come one after the other. */
function idOf({ id, group, step, values }: { id: string } & Pick<TrackedStep, 'group' | 'step' | 'values'>): string {
  return group === 'train' ? `${id}\n${step}` : `${id}\n${step}\n${Object.keys(values).sort().join(' ')}`;
}
