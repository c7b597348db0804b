/**
 * @file Runs as streams of server-sent events. A page that comes gives the last id that it saw, is told what it missed, and joins the
 * one reader that all pages of a run share.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { SelmError } from '../errors.ts';
import { type NumberedEvent, readEvents } from '../store/read-events.ts';
import { encoded, Feed, type Look, type Sent } from './feed.ts';
import type { OpenRuns } from './open-runs.ts';

export interface StreamsOptions {
  /** Milliseconds between two looks at a run, longer with many pages: each gets at most one message in that time. @default 1000 */
  lookMs?: number;
  /** Milliseconds between two looks at all runs. @default 2000 */
  listMs?: number;
}

/** What the pages of one run are told from. */
interface RunFeed {
  feed: Feed;
  /** Up to where its readers were told the log. */
  lastId: number;
  summary: string;
}

const RESET: Sent = { event: 'reset', data: '{}' };

/** Everybody who follows something. */
export class Streams {
  readonly #runs: OpenRuns;
  readonly #options: Required<StreamsOptions>;
  readonly #feeds = new Map<string, RunFeed>();
  readonly #list: { feed: Feed; runs: string };
  #open = 0;

  constructor(runs: OpenRuns, { lookMs = 1000, listMs = 2000 }: StreamsOptions = {}) {
    this.#runs = runs;
    this.#options = { lookMs, listMs };
    this.#list = { feed: new Feed(() => this.#lookAtAll(), { lookMs: listMs }), runs: '' };
  }

  /** How many pages follow. */
  get open(): number {
    return this.#open;
  }

  /**
   * Writes the events of a run behind an id, then new ones as they come, and its summary whenever that changes. Ends with `reset` where the
   * id is none of the run's log, or the run is gone: the reader begins anew.
   */
  async followRun(response: ServerResponse, { id, afterId }: { id: string; afterId: number }): Promise<void> {
    this.#begin(response);
    try {
      for (let lastId = afterId; !response.destroyed; ) {
        const read = readEvents(this.#runs.find(id).path, lastId);
        if (read === null) {
          response.end(encoded([RESET]));
          return;
        }
        if (read.lastId > lastId) {
          const isTaken = response.write(encoded(told(read.events)));
          lastId = read.lastId;
          if (!isTaken) await Promise.race([once(response, 'drain'), once(response, 'close')]);
          continue;
        }
        const run = this.#feedOf(id, lastId);
        run.feed.look(); // those who are there are told first: then all are at the same place
        if (run.lastId !== lastId) continue;
        response.write(encoded([{ event: 'summary', data: run.summary }]));
        run.feed.join(response);
        response.on('close', () => run.feed.leave(response));
        return;
      }
    } catch (error) {
      if (!(error instanceof SelmError)) throw error;
      response.end(encoded([RESET])); // the run went away: the page looks anew
    }
  }

  /** Writes the list of runs, and again whenever something in it changes. */
  followRuns(response: ServerResponse): void {
    this.#begin(response);
    const { feed } = this.#list;
    feed.look();
    response.write(encoded([{ event: 'runs', data: this.#list.runs }]));
    feed.join(response);
    response.on('close', () => feed.leave(response));
  }

  #begin(response: ServerResponse): void {
    this.#open += 1;
    response.on('close', () => {
      this.#open -= 1;
    });
    response.flushHeaders();
  }

  #feedOf(id: string, lastId: number): RunFeed {
    const known = this.#feeds.get(id);
    if (known !== undefined) return known;
    const { lookMs } = this.#options;
    const feed = new Feed(() => this.#lookAt(id, run), { lookMs, ended: () => this.#feeds.delete(id) });
    const run: RunFeed = { feed, lastId, summary: '' };
    this.#feeds.set(id, run);
    return run;
  }

  #lookAt(id: string, run: RunFeed): Look {
    const sent: Sent[] = [];
    try {
      const { path } = this.#runs.find(id);
      for (;;) {
        const read = readEvents(path, run.lastId);
        if (read === null) return { sent: [RESET], isOver: true };
        sent.push(...told(read.events));
        run.lastId = read.lastId;
        if (read.isAll) break;
      }
      const summary = JSON.stringify(this.#runs.summary(id));
      if (summary !== run.summary) sent.push({ event: 'summary', data: summary });
      run.summary = summary;
      return { sent, isOver: false };
    } catch (error) {
      if (!(error instanceof SelmError)) throw error;
      return { sent: [RESET], isOver: true };
    }
  }

  #lookAtAll(): Look {
    const runs = JSON.stringify(this.#runs.summaries());
    const isNew = runs !== this.#list.runs;
    this.#list.runs = runs;
    return { sent: isNew ? [{ event: 'runs', data: runs }] : [], isOver: false };
  }
}

/**
 * What pages are told of events that came together. What the summary says already is not sent again, and of the numbers of many steps
 * the last: they say that there are new ones, which the curves have.
 */
function told(events: readonly NumberedEvent[]): Sent[] {
  const lastMetrics = events.findLast(({ event }) => event.kind === 'metrics');
  return events.flatMap((each) => {
    const { id, event } = each;
    if (event.kind === 'heartbeat' || event.kind === 'stage-progress') return [];
    if (event.kind === 'metrics' && each !== lastMetrics) return [];
    return [{ event: 'event', data: JSON.stringify(event), id: String(id) }];
  });
}
