/**
 * @file The ledger of a run: everything that was sampled, ranked, paired, trained on and measured, in one SQLite file
 * (tables: ledger-schema.ts; stages: ledger-stages.ts; what judges replied: ledger-answers.ts). Each method is one transaction
 * and durable when it returns. Putting the same thing again changes nothing. Putting something else under the same key is
 * refused, because history is not rewritten.
 */
import type { PreferenceRow } from '../data/rows.ts';
import { RunError } from '../errors.ts';
import type { Ranking } from '../rank/ranker.ts';
import { LedgerAnswers } from './ledger-answers.ts';
import { LedgerFile } from './ledger-file.ts';
import {
  type CutCounts,
  type HeldOutResponse,
  int32Bytes,
  type MetricRecord,
  originText,
  type PairLineage,
  type PairRecord,
  parseJson,
  type RankingRecord,
  type ResponseRecord,
  type StoredMetric,
  type StoredPair,
  toMetrics,
  toPair,
  toRanking,
  toResponse,
} from './ledger-rows.ts';
import { openDatabase } from './ledger-schema.ts';
import { StageLog } from './ledger-stages.ts';
import { parseRecord, type RecordKind, type RecordOf, recordText } from './records.ts';

/** What a ranker cut of one prompt before it judged. */
export type RankerCut = { promptId: string } & NonNullable<Ranking['cut']>;

/** Tables of what an iteration makes, item by item. */
export type MadeTable = 'responses' | 'rankings' | 'pairs';

/** Options of `openLedger`. */
export interface LedgerOptions {
  /** `read` takes no locks that could disturb a run. @default 'write' */
  access?: 'write' | 'read';
  /** Milliseconds since 1970. @default Date.now */
  clock?: () => number;
}

/** Opens or creates the ledger at `path`. Throws RunError for a file that is damaged, foreign or of a newer format. */
export function openLedger(path: string, { access = 'write', clock = Date.now }: LedgerOptions = {}): Ledger {
  return new Ledger(new LedgerFile(openDatabase(path, access), path), clock);
}

/** An open ledger. Close it, or let `using` do so. */
export class Ledger {
  readonly path: string;
  /** How far each stage is. */
  readonly stages: StageLog;
  /** What judges' servers replied. */
  readonly answers: LedgerAnswers;
  readonly #file: LedgerFile;

  /** Use `openLedger`. */
  constructor(file: LedgerFile, clock: () => number) {
    this.#file = file;
    this.path = file.path;
    const now = (): string => new Date(clock()).toISOString();
    this.stages = new StageLog(file, now);
    this.answers = new LedgerAnswers(file, now);
  }

  /**
   * Takes back stages of an iteration, and the rows of some tables that they made, so that they are done again under other
   * settings. Their attempts and what was measured in them stay.
   */
  takeBack(iteration: number, { stages, tables }: { stages: readonly string[]; tables: readonly MadeTable[] }): void {
    this.#file.write(() => {
      for (const stage of stages)
        this.#file.run('DELETE FROM stages WHERE iteration = ? AND stage = ?', [iteration, stage]);
      for (const table of tables) this.#file.run(`DELETE FROM ${table} WHERE iteration = ?`, [iteration]);
    });
  }

  /** Keeps which rows an iteration sees. The same rows again change nothing; others are refused. */
  putSlice(iteration: number, rows: readonly PreferenceRow[]): void {
    this.#file.write(() => {
      for (const [position, row] of rows.entries()) {
        this.#file.run('INSERT OR IGNORE INTO prompts VALUES (?, ?)', [row.promptId, JSON.stringify(row)]);
        this.#file.put('slices', { key: { iteration, position }, values: { promptId: row.promptId } });
      }
    });
  }

  /** The rows that an iteration sees, in their order; empty when they were not put yet. */
  slice(iteration: number): PreferenceRow[] {
    const sql = 'SELECT row FROM slices JOIN prompts USING (promptId) WHERE iteration = ? ORDER BY position';
    return this.#file.all(sql, [iteration]).map(({ row }) => parseJson(row) as PreferenceRow);
  }

  /** The row of the data under a prompt id, or null in a run that has not seen it. */
  row(promptId: string): PreferenceRow | null {
    return parseJson(
      this.#file.one('SELECT row FROM prompts WHERE promptId = ?', [promptId])?.row ?? null,
    ) as PreferenceRow | null;
  }

  /** Keeps responses, all or none. */
  putResponses(responses: readonly ResponseRecord[]): void {
    this.#file.putAll(
      'responses',
      responses.map(({ iteration, promptId, sampleIndex, tokenIds, ...values }) => {
        const { text, finish, logProb, samplerSha256, seed } = values;
        return {
          key: { iteration, promptId, sampleIndex },
          values: { text, tokenIds: int32Bytes(tokenIds), finish, logProb, samplerSha256, seed },
        };
      }),
    );
  }

  /** Responses of an iteration, by prompt id and sample index, whatever order they finished in. */
  responses(iteration: number): ResponseRecord[] {
    return this.#file
      .all('SELECT * FROM responses WHERE iteration = ? ORDER BY promptId, sampleIndex', [iteration])
      .map((row) => toResponse<ResponseRecord>(row));
  }

  putRanking(ranking: RankingRecord): void {
    const { iteration, promptId, rankerId, candidates, scores, order, ties, problem, judgements } = ranking;
    const plain = candidates.map(({ kind, sampleIndex, text }) => ({ kind, sampleIndex, text }));
    this.#file.put('rankings', {
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
    return this.#file
      .all('SELECT * FROM rankings WHERE iteration = ? ORDER BY promptId, rankerId', [iteration])
      .map(toRanking);
  }

  /** Gives what a ranker said, made and used to the name that it has now. */
  renameRanker(old: string, now: string): void {
    if (old === now) return;
    this.#file.write(() => {
      for (const table of ['rankings', 'pairs', 'answers'])
        this.#file.run(`UPDATE OR IGNORE ${table} SET rankerId = ? WHERE rankerId = ?`, [now, old]);
    });
  }

  /** Keeps pairs, all or none. */
  putPairs(pairs: readonly PairRecord[]): void {
    this.#file.putAll(
      'pairs',
      pairs.map((pair) => {
        const { pairId, iteration, promptId, chosen, rejected, response, chosenFrom, rejectedFrom } = pair;
        const { rankerId = null, scoreChosen = null, scoreRejected = null, label = null, source = null } = pair;
        return {
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
            probability: label?.probability ?? null,
            weight: label?.weight ?? null,
            source: source === null ? null : JSON.stringify({ file: source.file, line: source.line }),
          },
        };
      }),
    );
  }

  /** Pairs of an iteration, by prompt id and pair id: the same order after every restart. */
  pairs(iteration: number): StoredPair[] {
    return this.#file.all('SELECT * FROM pairs WHERE iteration = ? ORDER BY promptId, pairId', [iteration]).map(toPair);
  }

  /** Everything known about a pair, or null when there is no such pair. */
  pairLineage(pairId: string): PairLineage | null {
    const row = this.#file.one('SELECT * FROM pairs WHERE pairId = ?', [pairId]);
    if (row === undefined) return null;
    const pair = toPair(row);
    const key = [pair.iteration, pair.promptId];
    const responses = this.#file.all(
      'SELECT * FROM responses WHERE iteration = ? AND promptId = ? ORDER BY sampleIndex',
      key,
    );
    const rankings = this.#file.all(
      'SELECT * FROM rankings WHERE iteration = ? AND promptId = ? ORDER BY rankerId',
      key,
    );
    return {
      pair,
      responses: responses.map((response) => toResponse<ResponseRecord>(response)),
      rankings: rankings.map(toRanking),
    };
  }

  /** log pi_ref of a sequence, or null when it was not computed yet. */
  getReferenceLogProb(key: string): number | null {
    const row = this.#file.one('SELECT logProb FROM reference_log_probs WHERE key = ?', [key]);
    return row === undefined ? null : Number(row.logProb);
  }

  /** Keeps log-probabilities, all or none. A key that is there keeps its value, so that a resumed run goes on with it. */
  putReferenceLogProbs(entries: Iterable<{ key: string; logProb: number }>): void {
    this.#file.write(() => {
      for (const { key, logProb } of entries) {
        if (Number.isNaN(logProb))
          throw new RunError('LEDGER_VALUE', `Cannot keep log-probability of "${key}": it is not a number`);
        this.#file.run('INSERT OR IGNORE INTO reference_log_probs VALUES (?, ?)', [key, logProb]);
      }
    });
  }

  /** Keeps the numbers of a step under the current attempt of its stage; the same step of the same attempt is replaced. */
  putMetric({ iteration, stage, step, values }: MetricRecord): void {
    this.#file.write(() => {
      const attempt = Math.max(1, this.stages.attempt(iteration, stage));
      this.#file.run('DELETE FROM metrics WHERE iteration = ? AND stage = ? AND step = ? AND attempt = ?', [
        iteration,
        stage,
        step,
        attempt,
      ]);
      for (const [name, value] of Object.entries(values)) {
        this.#file.run('INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)', [
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
    const table = attempts === 'current' ? 'currentMetrics' : 'metrics';
    return toMetrics(this.#file.all(`SELECT * FROM ${table} ORDER BY iteration, stage, step, attempt, name`, []));
  }

  /** Keeps that a ranker had to cut a prompt or responses; a second time for the same prompt changes nothing. */
  putCut(iteration: number, stage: string, { promptId, prompt, responses }: RankerCut): void {
    const key = { iteration, stage, promptId };
    this.#file.put('cuts', { key, values: { promptCut: prompt ? 1 : 0, responsesCut: responses } });
  }

  /** How much the rankers of a stage had to cut. */
  cuts(iteration: number, stage: string): CutCounts {
    const sql = `SELECT coalesce(sum(promptCut), 0) AS prompts, coalesce(sum(responsesCut), 0) AS responses FROM cuts
      WHERE iteration = ? AND stage = ?`;
    return this.#file.one(sql, [iteration, stage]) as unknown as CutCounts;
  }

  /** Keeps answers to held-out prompts, all or none. */
  putHeldOutResponses(responses: readonly HeldOutResponse[]): void {
    this.#file.putAll(
      'held_out_responses',
      responses.map(({ samplerSha256, settings, promptId, sampleIndex, tokenIds, ...values }) => {
        const { text, length, finish, logProb } = values;
        return {
          key: { samplerSha256, settings, promptId, sampleIndex },
          values: { text, length, tokenIds: int32Bytes(tokenIds), finish, logProb },
        };
      }),
    );
  }

  /** What a model answered to held-out prompts, sampled as `settings` says, by prompt id and sample index. */
  heldOutResponses({
    samplerSha256,
    settings,
  }: Pick<HeldOutResponse, 'samplerSha256' | 'settings'>): HeldOutResponse[] {
    const sql = `SELECT * FROM held_out_responses WHERE samplerSha256 = ? AND settings = ? ORDER BY promptId, sampleIndex`;
    return this.#file.all(sql, [samplerSha256, settings]).map((row) => toResponse<HeldOutResponse>(row));
  }

  /** Keeps answers to items of benchmarks, all or none. */
  putBenchmarkAnswers(answers: readonly { key: string; answer: string }[]): void {
    this.#file.write(() => {
      for (const { key, answer } of answers)
        this.#file.run('INSERT OR REPLACE INTO benchmark_answers VALUES (?, ?)', [key, answer]);
    });
  }

  /** The answer under a key, or null. */
  benchmarkAnswer(key: string): string | null {
    const row = this.#file.one('SELECT answer FROM benchmark_answers WHERE key = ?', [key]);
    return row === undefined ? null : String(row.answer);
  }

  /** Keeps a record of an iteration, replacing an earlier one of the same kind. */
  putRecord<Kind extends RecordKind>(iteration: number, kind: Kind, record: RecordOf<Kind>): void {
    this.#file.write(() =>
      this.#file.run('INSERT OR REPLACE INTO records VALUES (?, ?, ?)', [iteration, kind, recordText(kind, record)]),
    );
  }

  /** The record of a kind, or null when there is none. */
  record<Kind extends RecordKind>(iteration: number, kind: Kind): RecordOf<Kind> | null {
    return this.records(kind).find((each) => each.iteration === iteration)?.record ?? null;
  }

  /** All records of a kind, by iteration. */
  records<Kind extends RecordKind>(kind: Kind): { iteration: number; record: RecordOf<Kind> }[] {
    return this.#file
      .all('SELECT iteration, record FROM records WHERE kind = ? ORDER BY iteration', [kind])
      .map((row) => ({
        iteration: Number(row.iteration),
        record: parseRecord(kind, String(row.record)),
      }));
  }

  /** Closes the file; a second call does nothing. */
  close(): void {
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
