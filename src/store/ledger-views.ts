/**
 * @file What a watcher of a run asks its ledger: pages of pairs and of prompts, and the rows of metrics that came since
 * the last look. It only reads, and holds no transaction open between two answers, so that the run never waits for it.
 */
import type { PreferenceRow } from '../data/rows.ts';
import { Ledger } from './ledger.ts';
import { LedgerFile } from './ledger-file.ts';
import { type CandidateOrigin, parseJson, type RankingRecord, type Row, toRanking } from './ledger-rows.ts';
import { type LedgerAccess, openDatabase } from './ledger-schema.ts';

/** Which pairs, and in which order. */
export interface PairQuery {
  /** @default all */
  iteration?: number;
  /** A text in the prompt, the chosen, the rejected, or an id. @default all */
  search?: string;
  /** Where the chosen text came from. @default anywhere */
  chosenFrom?: CandidateOrigin['kind'];
  /** @default 'ledger', as they were made */
  order?: 'ledger' | 'widest' | 'narrowest';
  offset: number;
  limit: number;
}

/** A pair as a list shows it: its texts cut to `EXCERPT` characters. */
export interface PairExcerpt {
  pairId: string;
  iteration: number;
  promptId: string;
  row: PreferenceRow | null;
  chosen: string;
  rejected: string;
  chosenFrom: CandidateOrigin;
  rejectedFrom: CandidateOrigin;
  scoreChosen: number | null;
  scoreRejected: number | null;
  rankerId: string | null;
}

/** A prompt that the policy was asked, and the iterations in which it was. */
export interface AskedPrompt {
  promptId: string;
  row: PreferenceRow | null;
  iterations: number[];
}

/** A start of a stage; `resumeStep`: the step whose state it went on from. */
export interface AttemptRecord {
  iteration: number;
  stage: string;
  attempt: number;
  resumeStep: number | null;
}

/** One number of one step; not-a-number is null. */
export interface MetricValue {
  step: number;
  attempt: number;
  name: string;
  value: number | null;
}

const EXCERPT = 400;
const ORDERS = {
  ledger: 'p.iteration, p.promptId, p.pairId',
  widest: 'p.scoreChosen - p.scoreRejected DESC NULLS LAST, p.pairId',
  narrowest: 'p.scoreChosen - p.scoreRejected ASC NULLS LAST, p.pairId',
} as const;

/** Opens the ledger at `path` for watching. Throws what `openLedger` throws. */
export function openLedgerViews(path: string, access: Exclude<LedgerAccess, 'write'> = 'read'): LedgerViews {
  return new LedgerViews(new LedgerFile(openDatabase(path, access), path));
}

/** A ledger open for watching. Close it, or let `using` do so. */
export class LedgerViews {
  /** The same file with its other questions. */
  readonly ledger: Ledger;
  readonly #file: LedgerFile;

  /** Use `openLedgerViews`. */
  constructor(file: LedgerFile) {
    this.#file = file;
    this.ledger = new Ledger(file, Date.now);
  }

  /** Changes with everything that another process writes. */
  version(): number {
    return Number(this.#file.one('PRAGMA data_version', [])?.data_version);
  }

  /** How many pairs a query finds, and one page of them. */
  pairs(query: PairQuery): { total: number; pairs: PairExcerpt[] } {
    const { where, values } = conditionsOf(query);
    const from = `FROM pairs p LEFT JOIN prompts r ON r.promptId = p.promptId ${where}`;
    const columns = `p.pairId, p.iteration, p.promptId, r.row, substr(p.chosen, 1, ${EXCERPT}) AS chosen,
      substr(p.rejected, 1, ${EXCERPT}) AS rejected, p.chosenFrom, p.rejectedFrom, p.scoreChosen, p.scoreRejected, p.rankerId`;
    const order = ORDERS[query.order ?? 'ledger'];
    // Ids are sorted, not texts: only those of the page are read.
    const page = `SELECT ${columns} FROM pairs p LEFT JOIN prompts r ON r.promptId = p.promptId
      WHERE p.pairId IN (SELECT p.pairId ${from} ORDER BY ${order} LIMIT ? OFFSET ?) ORDER BY ${order}`;
    return {
      total: Number(this.#file.one(`SELECT count(*) AS total ${from}`, values)?.total ?? 0),
      pairs: this.#file.all(page, [...values, query.limit, query.offset]).map(toExcerpt),
    };
  }

  /** How many pairs each iteration has. */
  pairCounts(): { iteration: number; pairs: number }[] {
    const sql = 'SELECT iteration, count(*) AS pairs FROM pairs GROUP BY iteration ORDER BY iteration';
    return this.#file.all(sql, []) as unknown as { iteration: number; pairs: number }[];
  }

  /** How many prompts the policy was asked, and one page of those whose text or id has `search`. */
  askedPrompts({ search = '', offset, limit }: { search?: string; offset: number; limit: number }): {
    total: number;
    prompts: AskedPrompt[];
  } {
    const values = [...Array<string>(2).fill(pattern(search)), pattern(inJson(search))];
    const from = `FROM (SELECT promptId, json_group_array(DISTINCT iteration) AS iterations FROM responses GROUP BY promptId) s
      LEFT JOIN prompts r ON r.promptId = s.promptId WHERE ? = '%%' OR s.promptId LIKE ? ESCAPE '\\' OR r.row LIKE ? ESCAPE '\\'`;
    const page = `SELECT s.promptId, s.iterations, r.row ${from} ORDER BY s.promptId LIMIT ? OFFSET ?`;
    return {
      total: Number(this.#file.one(`SELECT count(*) AS total ${from}`, values)?.total ?? 0),
      prompts: this.#file.all(page, [...values, limit, offset]).map((row) => ({
        promptId: String(row.promptId),
        row: parseJson(row.row) as PreferenceRow | null,
        iterations: parseJson(row.iterations) as number[],
      })),
    };
  }

  /** Mean length in tokens of what the policy answered, iteration by iteration. */
  responseLengths(): { iteration: number; tokens: number }[] {
    const sql =
      'SELECT iteration, avg(length(tokenIds)) / 4 AS tokens FROM responses GROUP BY iteration ORDER BY iteration';
    return this.#file.all(sql, []) as unknown as { iteration: number; tokens: number }[];
  }

  /** What the policy answered to one prompt, by iteration and sample index. */
  answersTo(promptId: string): { iteration: number; sampleIndex: number; text: string }[] {
    const sql = 'SELECT iteration, sampleIndex, text FROM responses WHERE promptId = ? ORDER BY iteration, sampleIndex';
    return this.#file.all(sql, [promptId]) as unknown as { iteration: number; sampleIndex: number; text: string }[];
  }

  /** Verdicts on one prompt, by iteration and ranker. */
  verdictsOn(promptId: string): RankingRecord[] {
    return this.#file
      .all('SELECT * FROM rankings WHERE promptId = ? ORDER BY iteration, rankerId', [promptId])
      .map(toRanking);
  }

  /** Every start of a stage, in their order. */
  attempts(): AttemptRecord[] {
    const sql = 'SELECT iteration, stage, attempt, resumeStep FROM attempts ORDER BY iteration, startedAt, stage';
    return this.#file.all(sql, []) as unknown as AttemptRecord[];
  }

  /** Numbers of a stage beyond a step, at most about `limit` of them: no step is torn apart. */
  metricsBehind(
    { iteration, stage }: Pick<AttemptRecord, 'iteration' | 'stage'>,
    { step, limit }: { step: number; limit: number },
  ): MetricValue[] {
    const key = [iteration, stage, step];
    const some = `SELECT max(step) AS last FROM (SELECT step FROM metrics WHERE iteration = ? AND stage = ? AND step > ?
      ORDER BY step LIMIT ?)`;
    const last = this.#file.one(some, [...key, limit])?.last ?? null;
    if (last === null) return [];
    const sql = `SELECT step, attempt, name, value FROM metrics WHERE iteration = ? AND stage = ? AND step > ? AND step <= ?
      ORDER BY step, attempt, name`;
    return this.#file.all(sql, [...key, last]) as unknown as MetricValue[];
  }

  /** Closes the file; a second call does nothing. */
  close(): void {
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function conditionsOf({ iteration, search = '', chosenFrom }: PairQuery): { where: string; values: unknown[] } {
  const conditions: { sql: string; values: unknown[] }[] = [
    ...(iteration === undefined ? [] : [{ sql: 'p.iteration = ?', values: [iteration] }]),
    ...(chosenFrom === undefined ? [] : [{ sql: `json_extract(p.chosenFrom, '$.kind') = ?`, values: [chosenFrom] }]),
    ...(search === '' ? [] : [searchIn(search)]),
  ];
  return {
    where: conditions.length === 0 ? '' : `WHERE ${conditions.map(({ sql }) => sql).join(' AND ')}`,
    values: conditions.flatMap(({ values }) => values),
  };
}

function searchIn(text: string): { sql: string; values: unknown[] } {
  const columns = ['p.chosen', 'p.rejected', 'p.pairId', 'p.promptId', 'r.row'];
  return {
    sql: `(${columns.map((column) => `${column} LIKE ? ESCAPE '\\'`).join(' OR ')})`,
    values: columns.map((column) => pattern(column === 'r.row' ? inJson(text) : text)),
  };
}

/** A text anywhere in another; its own wild cards mean themselves. */
function pattern(text: string): string {
  return `%${text.replace(/[\\%_]/g, '\\$&')}%`;
}

/** A text as it stands in the JSON of a row. */
function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

function toExcerpt(row: Row): PairExcerpt {
  return {
    ...(row as unknown as PairExcerpt),
    row: parseJson(row.row) as PreferenceRow | null,
    chosenFrom: parseJson(row.chosenFrom) as CandidateOrigin,
    rejectedFrom: parseJson(row.rejectedFrom) as CandidateOrigin,
  };
}
