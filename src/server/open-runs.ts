/**
 * @file The runs that the studio has open: ledgers for reading, and the columns of their metrics. A ledger stays open for
 * some time, for opening one checks all of it; one that was replaced by another file is opened again.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { RunError, SelmError } from '../errors.ts';
import { lockHolder } from '../files/lock.ts';
import { peopleFolder, QuestionLog } from '../rank/people/questions.ts';
import { EVENT_LOG_NAME } from '../store/event-log.ts';
import { type LedgerViews, openLedgerViews } from '../store/ledger-views.ts';
import { lastEvents } from '../store/read-events.ts';
import { type AnyRecipe, type RunConfig, readRunConfig } from '../store/run-config.ts';
import { Answers } from './answers.ts';
import type { RunSummary } from './api.ts';
import { RecentEvents } from './recent-events.ts';
import { isRun, type ListedRun, listRuns } from './run-list.ts';
import { RunSeries } from './series.ts';
import { summaryOf, unreadableRun } from './summary.ts';

/** A run that is open. */
export interface OpenedRun {
  listed: ListedRun;
  config: RunConfig<AnyRecipe>;
  views: LedgerViews;
  series: RunSeries;
  answers: Answers;
  recent: RecentEvents;
  /** What people are asked in it. */
  questions: QuestionLog;
  /** The program that `selm` is, in commands to copy. */
  launcher: string;
}

interface Entry extends OpenedRun {
  /** Which file it was, and as which it was configured. */
  file: string;
  usedMs: number;
}

/** Ledgers open at the same time; the one that was used the longest time ago makes room. */
const MOST_OPEN = 32;
/** A look at all runs is good for this long: many pages ask at the same time. */
const FRESH_MS = 400;

export interface OpenRunsOptions {
  /** Milliseconds since 1970. @default Date.now */
  clock?: () => number;
  /** Opens a ledger. @default openLedgerViews */
  openLedger?: typeof openLedgerViews;
  /** The program that `selm` is, in commands to copy: a path or a name. @default selm */
  launcher?: string;
}

/** The runs below some folders. Close it when nobody looks any more. */
export class OpenRuns {
  /** Where runs are looked for. */
  readonly folders: readonly string[];
  readonly #launcher: string;
  readonly #clock: () => number;
  readonly #openLedger: typeof openLedgerViews;
  readonly #open = new Map<string, Entry>();
  readonly #summaries = new Map<string, { stamp: string; summary: RunSummary }>();
  #places: ReadonlyMap<string, ListedRun> = new Map();
  #last: { ms: number; summaries: RunSummary[] } | null = null;

  constructor(
    folders: readonly string[],
    { clock = Date.now, openLedger = openLedgerViews, launcher = 'selm' }: OpenRunsOptions = {},
  ) {
    this.folders = folders;
    this.#clock = clock;
    this.#openLedger = openLedger;
    this.#launcher = launcher;
  }

  /** All runs, in the order of their ids, those that cannot be read with the reason. */
  summaries(): RunSummary[] {
    const now = this.#clock();
    if (this.#last !== null && now - this.#last.ms < FRESH_MS) return this.#last.summaries;
    const summaries = this.#list().map((listed) => this.#summaryOf(listed));
    this.#last = { ms: now, summaries };
    return summaries;
  }

  /** One run. Throws RunError STUDIO_RUN_UNKNOWN. */
  summary(id: string): RunSummary {
    return this.#summaryOf(this.find(id));
  }

  /** Where a run lies. Throws RunError STUDIO_RUN_UNKNOWN. */
  find(id: string): ListedRun {
    const known = this.#places.get(id);
    if (known !== undefined && isRun(known.path)) return known;
    const found = this.#list().find((each) => each.id === id);
    if (found === undefined) throw unknownRun(id);
    return found;
  }

  /** Opens a run, or gives the one that is open. Throws RunError or FileError. */
  open(id: string): OpenedRun {
    return this.#opened(this.find(id));
  }

  /** Closes every ledger. */
  close(): void {
    for (const { views } of this.#open.values()) views.close();
    this.#open.clear();
  }

  /** Looks through the folders: what is asked of one run afterwards does not. */
  #list(): ListedRun[] {
    const found = listRuns(this.folders);
    this.#places = new Map(found.map((each) => [each.id, each]));
    return found;
  }

  /** Of a run in which nothing changed the summary that was made before: of many runs few are at work. */
  #summaryOf(listed: ListedRun): RunSummary {
    const stamp = stampOf(listed);
    const known = this.#summaries.get(listed.path);
    if (known?.stamp === stamp) return known.summary;
    const summary = this.#newSummary(listed);
    this.#summaries.set(listed.path, { stamp, summary });
    return summary;
  }

  /** Only a glance at a run that no page shows: a long list neither reads all of its ledgers nor takes the place of those that are open. */
  #newSummary(listed: ListedRun): RunSummary {
    try {
      if (!this.#open.has(listed.path)) return this.#glance(listed);
      const opened = this.#opened(listed);
      return summaryOf({ ...opened, events: opened.recent.events() });
    } catch (error) {
      if (error instanceof SelmError) return unreadableRun(listed, error);
      throw error;
    }
  }

  #glance(listed: ListedRun): RunSummary {
    const { path } = listed;
    const config = this.#configOf(listed);
    using views = this.#openLedger(join(path, 'run.db'), 'glance');
    const questions = new QuestionLog(peopleFolder(path));
    const events = lastEvents(path).events.map(({ event }) => event);
    return summaryOf({ listed, config, views, questions, launcher: this.#launcher, events });
  }

  #configOf({ id, path }: ListedRun): RunConfig<AnyRecipe> {
    const config = readRunConfig<AnyRecipe>(path);
    if (config === null) throw unknownRun(id);
    return config;
  }

  #opened(listed: ListedRun): OpenedRun {
    const { path } = listed;
    const file = fingerprint(path);
    const known = this.#open.get(path);
    if (known !== undefined && known.file === file) {
      known.usedMs = this.#clock();
      return known;
    }
    this.#close(path);
    const config = this.#configOf(listed);
    const views = this.#openLedger(join(path, 'run.db'));
    const entry = {
      listed,
      config,
      views,
      series: new RunSeries(),
      answers: new Answers(this.#clock),
      recent: new RecentEvents(path),
      questions: new QuestionLog(peopleFolder(path)),
      launcher: this.#launcher,
      file,
      usedMs: this.#clock(),
    };
    this.#open.set(path, entry);
    this.#makeRoom();
    return entry;
  }

  #makeRoom(): void {
    const oldest = [...this.#open].sort(([, a], [, b]) => a.usedMs - b.usedMs);
    for (const [path] of oldest.slice(0, Math.max(0, oldest.length - MOST_OPEN))) this.#close(path);
  }

  #close(path: string): void {
    this.#open.get(path)?.views.close();
    this.#open.delete(path);
  }
}

/** Tells another ledger or configuration under the same path from the one that was opened. */
function fingerprint(path: string): string {
  const ledger = statSync(join(path, 'run.db'), { throwIfNoEntry: false });
  const config = statSync(join(path, 'config.yaml'), { throwIfNoEntry: false });
  return `${ledger?.dev}:${ledger?.ino}:${config?.ino}:${config?.mtimeMs}`;
}

/** Changes whenever a run writes something, begins or ends. */
function stampOf({ id, path }: ListedRun): string {
  const files = [
    'config.yaml',
    'command.json',
    'run.db',
    'run.db-wal',
    EVENT_LOG_NAME,
    'people/questions.jsonl',
    'people/answers.jsonl',
  ].map((name) => {
    const found = statSync(join(path, name), { throwIfNoEntry: false });
    // An empty file says nothing: whoever opens a ledger leaves an empty one of SQLite's beside it.
    return found === undefined || found.size === 0 ? 'nothing' : `${found.ino}:${found.size}:${found.mtimeMs}`;
  });
  return [id, ...files, lockHolder(join(path, 'run.lock')) !== null].join(' ');
}

function unknownRun(id: string): RunError {
  return new RunError(
    'STUDIO_RUN_UNKNOWN',
    `Cannot show run "${id.slice(0, 100)}": it is not there any more, or never was: go back to the list of runs`,
    { details: { id } },
  );
}
