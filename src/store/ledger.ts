/**
 * @file The ledger of a run: everything that was sampled, ranked, paired, trained on and measured, in one SQLite file
 * (tables: ledger-schema.ts). Each method is one transaction and durable when it returns. Putting the same thing again
 * changes nothing; putting something else under the same key is refused, since history is not rewritten.
 */
import type Database from 'better-sqlite3';
import { RunError } from '../errors.ts';
import type { Judgement } from '../rank/ranker.ts';
import type { RawAnswer, Spending } from '../rank/services.ts';
import { openDatabase, translate } from './ledger-schema.ts';

/** Which candidate a text was: a sample of the policy, or one of the data's pair. */
export interface CandidateOrigin {
  kind: 'response' | 'chosen' | 'rejected';
  sampleIndex: number | null;
}

/** One response of the policy. */
export interface ResponseRecord {
  iteration: number;
  promptId: string;
  sampleIndex: number;
  text: string;
  tokenIds: Int32Array;
  finish: 'stop' | 'length';
  /** Summed log-probability under the sampler. */
  logProb: number;
  /** Of the weights that sampled it. */
  samplerSha256: string;
  seed: number;
}

/** One verdict. */
export interface RankingRecord {
  iteration: number;
  promptId: string;
  rankerId: string;
  candidates: readonly (CandidateOrigin & { text: string })[];
  /** Higher is better, in order of the candidates; null when the ranker gives only an order. */
  scores: readonly number[] | null;
  /** Indices of candidates, best first. */
  order: readonly number[];
  /** Groups of indices that share a place. */
  ties: readonly (readonly number[])[];
  /** Why there is no verdict, when there is none. */
  problem?: string;
  /** The answers that it was made from, where the ranker asked for some. */
  judgements?: readonly Judgement[];
}

/** One pair to train on. */
export interface PairRecord {
  pairId: string;
  iteration: number;
  promptId: string;
  chosen: string;
  rejected: string;
  /** The policy's response for the exploration term. */
  response: string | null;
  chosenFrom: CandidateOrigin;
  rejectedFrom: CandidateOrigin;
  /** Null (or absent) for a pair that comes from the data as it is. */
  rankerId?: string | null;
  scoreChosen?: number | null;
  scoreRejected?: number | null;
  /** Where the row is in the data. */
  source?: { file: string; line: number } | null;
}

/** A pair as it is read back: every field present. */
export type StoredPair = Required<PairRecord>;

/** Numbers of one step. */
export interface MetricRecord {
  iteration: number;
  stage: string;
  step: number;
  values: Readonly<Record<string, number>>;
}

/** Numbers as read back, with the attempt that measured them. */
export interface StoredMetric extends MetricRecord {
  attempt: number;
}

/** Everything known about a pair. */
export interface PairLineage {
  pair: StoredPair;
  /** Responses of the policy to its prompt in its iteration, by sample index. */
  responses: ResponseRecord[];
  /** Verdicts on its prompt in its iteration. */
  rankings: RankingRecord[];
}

/** Options of `openLedger`. */
export interface LedgerOptions {
  /** `read` takes no locks that could disturb a run. @default 'write' */
  access?: 'write' | 'read';
  /** Milliseconds since 1970. @default Date.now */
  clock?: () => number;
}

type Row = Record<string, unknown>;

/** Opens or creates the ledger at `path`. Throws RunError for a file that is damaged, foreign or of a newer format. */
export function openLedger(path: string, { access = 'write', clock = Date.now }: LedgerOptions = {}): Ledger {
  return new Ledger(openDatabase(path, access), path, clock);
}

/** An open ledger. Close it, or let `using` do so. */
export class Ledger {
  readonly path: string;
  readonly #database: Database.Database;
  readonly #clock: () => number;
  readonly #statements = new Map<string, Database.Statement>();

  /** Use `openLedger`. */
  constructor(database: Database.Database, path: string, clock: () => number) {
    this.#database = database;
    this.path = path;
    this.#clock = clock;
  }

  /**
   * Notes that a stage starts, again or for the first time, and returns the number of this attempt, from 1. A stage that
   * goes on from the state after step k gives `resumeStep: k`: measurements of earlier attempts beyond k are then hidden.
   */
  beginStage(iteration: number, stage: string, { resumeStep = null }: { resumeStep?: number | null } = {}): number {
    return this.#write(() => {
      const attempt = this.#attempt(iteration, stage) + 1;
      const startedAt = this.#now();
      this.#run('INSERT INTO attempts VALUES (?, ?, ?, ?, ?)', [iteration, stage, attempt, resumeStep, startedAt]);
      this.#run(
        `INSERT INTO stages VALUES (?, ?, 'running', ?, ?, NULL) ON CONFLICT DO UPDATE
         SET status = 'running', attempt = excluded.attempt, startedAt = excluded.startedAt, finishedAt = NULL`,
        [iteration, stage, attempt, startedAt],
      );
      return attempt;
    });
  }

  /** Notes that a stage is done. Throws RunError when it was never begun. */
  finishStage(iteration: number, stage: string): void {
    this.#write(() => {
      const sql = `UPDATE stages SET status = 'finished', finishedAt = coalesce(finishedAt, ?) WHERE iteration = ? AND stage = ?`;
      if (this.#run(sql, [this.#now(), iteration, stage]) > 0) return;
      throw new RunError(
        'STAGE_NOT_BEGUN',
        `Cannot finish stage "${stage}" of iteration ${iteration}: it was never begun: begin it first`,
      );
    });
  }

  /** How a stage stands; `none` when it never started. */
  stageStatus(iteration: number, stage: string): 'none' | 'running' | 'finished' {
    const row = this.#one('SELECT status FROM stages WHERE iteration = ? AND stage = ?', [iteration, stage]);
    return row === undefined ? 'none' : row.status === 'finished' ? 'finished' : 'running';
  }

  putResponse(response: ResponseRecord): void {
    const { iteration, promptId, sampleIndex, text, tokenIds, finish, logProb, samplerSha256, seed } = response;
    this.#put('responses', {
      key: { iteration, promptId, sampleIndex },
      values: { text, tokenIds: int32Bytes(tokenIds), finish, logProb, samplerSha256, seed },
    });
  }

  /** Responses of an iteration, by prompt id and sample index, whatever order they finished in. */
  responses(iteration: number): ResponseRecord[] {
    return this.#all('SELECT * FROM responses WHERE iteration = ? ORDER BY promptId, sampleIndex', [iteration]).map(
      toResponse,
    );
  }

  putRanking(ranking: RankingRecord): void {
    const { iteration, promptId, rankerId, candidates, scores, order, ties, problem, judgements } = ranking;
    const plain = candidates.map(({ kind, sampleIndex, text }) => ({ kind, sampleIndex, text }));
    this.#put('rankings', {
      key: { iteration, promptId, rankerId },
      values: {
        candidates: JSON.stringify(plain),
        scores: scores === null ? null : JSON.stringify(scores),
        order: JSON.stringify(order),
        ties: JSON.stringify(ties),
        problem: problem ?? null,
        judgements: judgements === undefined ? null : JSON.stringify(judgements),
      },
    });
  }

  /** Verdicts of an iteration, by prompt id and ranker. */
  rankings(iteration: number): RankingRecord[] {
    return this.#all('SELECT * FROM rankings WHERE iteration = ? ORDER BY promptId, rankerId', [iteration]).map(
      toRanking,
    );
  }

  putPair(pair: PairRecord): void {
    const { pairId, iteration, promptId, chosen, rejected, response, chosenFrom, rejectedFrom } = pair;
    const { rankerId = null, scoreChosen = null, scoreRejected = null, source = null } = pair;
    this.#put('pairs', {
      key: { pairId },
      values: {
        iteration,
        promptId,
        chosen,
        rejected,
        response,
        chosenFrom: originText(chosenFrom),
        rejectedFrom: originText(rejectedFrom),
        rankerId,
        scoreChosen,
        scoreRejected,
        source: source === null ? null : JSON.stringify({ file: source.file, line: source.line }),
      },
    });
  }

  /** Pairs of an iteration, by prompt id and pair id: the same order after every restart. */
  pairs(iteration: number): StoredPair[] {
    return this.#all('SELECT * FROM pairs WHERE iteration = ? ORDER BY promptId, pairId', [iteration]).map(toPair);
  }

  /** Everything known about a pair, or null when there is no such pair. */
  pairLineage(pairId: string): PairLineage | null {
    const row = this.#one('SELECT * FROM pairs WHERE pairId = ?', [pairId]);
    if (row === undefined) return null;
    const pair = toPair(row);
    const key = [pair.iteration, pair.promptId];
    const responses = this.#all(
      'SELECT * FROM responses WHERE iteration = ? AND promptId = ? ORDER BY sampleIndex',
      key,
    );
    const rankings = this.#all('SELECT * FROM rankings WHERE iteration = ? AND promptId = ? ORDER BY rankerId', key);
    return { pair, responses: responses.map(toResponse), rankings: rankings.map(toRanking) };
  }

  /** Keeps a reply of a judge's server, beside earlier ones under the same key. */
  putAnswer(key: string, { rankerId, outcome, text, promptTokens, completionTokens }: RawAnswer): void {
    this.#write(() => {
      const sql = 'INSERT INTO answers SELECT ?, count(*) + 1, ?, ?, ?, ?, ?, ? FROM answers WHERE key = ?';
      this.#run(sql, [key, rankerId, outcome, text, promptTokens, completionTokens, this.#now(), key]);
    });
  }

  /** Body of the usable reply under a key, or null. */
  answer(key: string): string | null {
    const row = this.#one(`SELECT text FROM answers WHERE key = ? AND outcome = 'answer'`, [key]);
    return row === undefined ? null : String(row.text);
  }

  /** Replies under a key, usable or not, in the order in which they came. */
  answers(key: string): RawAnswer[] {
    const columns = 'rankerId, outcome, text, promptTokens, completionTokens';
    return this.#all(`SELECT ${columns} FROM answers WHERE key = ? ORDER BY attempt`, [key]) as unknown as RawAnswer[];
  }

  /** What a ranker has used. */
  spent(rankerId: string): Spending {
    const sql = `SELECT count(*) AS calls, coalesce(sum(promptTokens), 0) AS promptTokens,
      coalesce(sum(completionTokens), 0) AS completionTokens FROM answers WHERE rankerId = ?`;
    return this.#one(sql, [rankerId]) as unknown as Spending;
  }

  /** log pi_ref of a sequence, or null when it was not computed yet. */
  getReferenceLogProb(key: string): number | null {
    const row = this.#one('SELECT logProb FROM reference_log_probs WHERE key = ?', [key]);
    return row === undefined ? null : Number(row.logProb);
  }

  /** Keeps log-probabilities, all or none. A key that is there keeps its value, so that a resumed run goes on with it. */
  putReferenceLogProbs(entries: Iterable<{ key: string; logProb: number }>): void {
    this.#write(() => {
      for (const { key, logProb } of entries) {
        if (Number.isNaN(logProb))
          throw new RunError('LEDGER_VALUE', `Cannot keep log-probability of "${key}": it is not a number`);
        this.#run('INSERT OR IGNORE INTO reference_log_probs VALUES (?, ?)', [key, logProb]);
      }
    });
  }

  /** Keeps the numbers of a step under the current attempt of its stage; the same step of the same attempt is replaced. */
  putMetric({ iteration, stage, step, values }: MetricRecord): void {
    this.#write(() => {
      const attempt = Math.max(1, this.#attempt(iteration, stage));
      this.#run('DELETE FROM metrics WHERE iteration = ? AND stage = ? AND step = ? AND attempt = ?', [
        iteration,
        stage,
        step,
        attempt,
      ]);
      for (const [name, value] of Object.entries(values)) {
        this.#run('INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)', [
          iteration,
          stage,
          step,
          attempt,
          name,
          Number.isNaN(value) ? null : value,
        ]);
      }
    });
  }

  /**
   * Numbers of all steps in order. `current`: what an earlier attempt measured beyond the step that a later one went on
   * from, or measured again, is left out. `all`: everything ever measured.
   */
  metrics({ attempts = 'current' }: { attempts?: 'current' | 'all' } = {}): StoredMetric[] {
    const current = `WHERE NOT EXISTS (SELECT 1 FROM attempts a WHERE a.iteration = m.iteration AND a.stage = m.stage
        AND a.attempt > m.attempt AND a.resumeStep < m.step)
      AND NOT EXISTS (SELECT 1 FROM metrics n WHERE n.iteration = m.iteration AND n.stage = m.stage AND n.step = m.step
        AND n.attempt > m.attempt)`;
    const rows = this.#all(
      `SELECT * FROM metrics m ${attempts === 'current' ? current : ''} ORDER BY iteration, stage, step, attempt, name`,
      [],
    );
    const metrics: (StoredMetric & { values: Record<string, number> })[] = [];
    for (const row of rows) {
      const { iteration, stage, step, attempt } = row as unknown as StoredMetric;
      let last = metrics.at(-1);
      const same =
        last?.iteration === iteration && last.stage === stage && last.step === step && last.attempt === attempt;
      if (last === undefined || !same) {
        last = { iteration, stage, step, attempt, values: {} };
        metrics.push(last);
      }
      last.values[String(row.name)] = row.value === null ? Number.NaN : Number(row.value);
    }
    return metrics;
  }

  /** Keeps what was counted (any JSON), replacing an earlier count of the same kind. */
  putAudit(iteration: number, kind: string, audit: unknown): void {
    this.#write(() =>
      this.#run('INSERT OR REPLACE INTO audits VALUES (?, ?, ?)', [iteration, kind, JSON.stringify(audit)]),
    );
  }

  audits(): { iteration: number; kind: string; audit: unknown }[] {
    return this.#all('SELECT * FROM audits ORDER BY iteration, kind', []).map((row) => ({
      iteration: Number(row.iteration),
      kind: String(row.kind),
      audit: parseJson(row.audit),
    }));
  }

  /** Closes the file; a second call does nothing. */
  close(): void {
    this.#database.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #now(): string {
    return new Date(this.#clock()).toISOString();
  }

  /** Number of the latest attempt of a stage, 0 when it never started. */
  #attempt(iteration: number, stage: string): number {
    return Number(
      this.#one('SELECT attempt FROM stages WHERE iteration = ? AND stage = ?', [iteration, stage])?.attempt ?? 0,
    );
  }

  /** Inserts a row; the same row again changes nothing, another under the same key is refused. */
  #put(table: string, { key, values }: { key: Row; values: Row }): void {
    this.#write(() => {
      const columns = Object.keys({ ...key, ...values }).map((name) => `"${name}"`);
      const sql = `INSERT INTO ${table} (${columns}) VALUES (${columns.map(() => '?')}) ON CONFLICT DO NOTHING`;
      if (this.#run(sql, [...Object.values(key), ...Object.values(values)]) > 0) return;
      const where = Object.keys(key).map((name) => `"${name}" = ?`);
      const stored = this.#one(`SELECT * FROM ${table} WHERE ${where.join(' AND ')}`, Object.values(key)) ?? {};
      const differing = Object.keys(values).find((name) => !sameValue(stored[name], values[name]));
      if (differing === undefined) return;
      throw new RunError(
        'LEDGER_CONFLICT',
        `Cannot put ${JSON.stringify(key)} into "${table}": it is there with another ${differing}: history is not rewritten, start a new run`,
        { details: { path: this.path, table, key, field: differing } },
      );
    });
  }

  #write<Result>(body: () => Result): Result {
    return this.#guard(() => {
      if (this.#database.readonly) {
        throw new RunError(
          'LEDGER_READ_ONLY',
          `Cannot write to ledger "${this.path}": it was opened for reading: open it for writing`,
        );
      }
      return this.#database.transaction(body).immediate();
    });
  }

  #run(sql: string, values: unknown[]): number {
    return this.#prepare(sql).run(...values).changes;
  }

  #one(sql: string, values: unknown[]): Row | undefined {
    return this.#guard(() => this.#prepare(sql).get(...values) as Row | undefined);
  }

  #all(sql: string, values: unknown[]): Row[] {
    return this.#guard(() => this.#prepare(sql).all(...values) as Row[]);
  }

  #prepare(sql: string): Database.Statement {
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #guard<Result>(body: () => Result): Result {
    if (!this.#database.open) {
      throw new RunError('LEDGER_CLOSED', `Cannot use ledger "${this.path}": it was closed: open it again`);
    }
    try {
      return body();
    } catch (error) {
      throw translate(error, this.path);
    }
  }
}

function toResponse(row: Row): ResponseRecord {
  return { ...(row as unknown as ResponseRecord), tokenIds: int32Array(row.tokenIds as Uint8Array) };
}

function toRanking(row: Row): RankingRecord {
  const { iteration, promptId, rankerId } = row as unknown as RankingRecord;
  return {
    iteration,
    promptId,
    rankerId,
    candidates: parseJson(row.candidates) as RankingRecord['candidates'],
    scores: parseJson(row.scores) as RankingRecord['scores'],
    order: parseJson(row.order) as RankingRecord['order'],
    ties: parseJson(row.ties) as RankingRecord['ties'],
    ...(row.problem === null ? {} : { problem: String(row.problem) }),
    // Absent in a file of version 1 that is open for reading.
    ...(typeof row.judgements === 'string' ? { judgements: parseJson(row.judgements) as Judgement[] } : {}),
  };
}

function toPair(row: Row): StoredPair {
  return {
    ...(row as unknown as StoredPair),
    chosenFrom: parseJson(row.chosenFrom) as CandidateOrigin,
    rejectedFrom: parseJson(row.rejectedFrom) as CandidateOrigin,
    source: parseJson(row.source) as StoredPair['source'],
  };
}

function originText({ kind, sampleIndex }: CandidateOrigin): string {
  return JSON.stringify({ kind, sampleIndex });
}

/** Columns written by this file only; the file was checked when it was opened. */
function parseJson(text: unknown): unknown {
  return text === null ? null : JSON.parse(String(text));
}

function int32Bytes(ids: Int32Array): Buffer {
  const bytes = Buffer.alloc(ids.length * 4);
  ids.forEach((id, index) => {
    bytes.writeInt32LE(id, index * 4);
  });
  return bytes;
}

function int32Array(bytes: Uint8Array): Int32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Int32Array.from({ length: bytes.byteLength / 4 }, (_, index) => view.getInt32(index * 4, true));
}

function sameValue(stored: unknown, value: unknown): boolean {
  if (stored instanceof Uint8Array && value instanceof Uint8Array) return Buffer.compare(stored, value) === 0;
  return stored === value;
}
