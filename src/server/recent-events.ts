/** @file The last events of a run's log. A log only grows, so each look reads what came since the one before. */
import { type LoggedEvent, lastEvents, readEvents } from '../store/read-events.ts';

/** Events kept: those that tell how a run stands and how fast its stage is. */
const MOST_EVENTS = 500;

export class RecentEvents {
  readonly #runPath: string;
  #known: { lastId: number; events: LoggedEvent[] } | null = null;

  constructor(runPath: string) {
    this.#runPath = runPath;
  }

  /** The last ones, as the log is now. */
  events(): readonly LoggedEvent[] {
    for (;;) {
      // From its end, at first and where the log is another one.
      const read = this.#known === null ? null : readEvents(this.#runPath, this.#known.lastId);
      const { lastId, events, isAll } = read ?? lastEvents(this.#runPath);
      const before = read === null ? [] : (this.#known?.events ?? []);
      const all = [...before, ...events.map(({ event }) => event)];
      this.#known = { lastId, events: all.slice(-MOST_EVENTS) };
      if (isAll) return this.#known.events;
    }
  }
}
