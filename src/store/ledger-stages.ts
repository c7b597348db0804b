/**
 * @file The stages of a run in its ledger: which have started, at which attempt each is, and how it ended. A stage that a
 * process left behind is begun again as a new attempt, so that what each attempt measured can be told apart.
 */
import { RunError } from '../errors.ts';
import type { LedgerFile } from './ledger-file.ts';
import { type StageRecord, type StageStatus, toStage } from './ledger-rows.ts';

/** The stages of an open ledger. */
export class StageLog {
  readonly #file: LedgerFile;
  readonly #now: () => string;

  /** `now` gives the time as ISO 8601. */
  constructor(file: LedgerFile, now: () => string) {
    this.#file = file;
    this.#now = now;
  }

  /**
   * Notes that a stage starts, again or for the first time, and returns the number of this attempt, from 1. A stage that
   * goes on from the state after step k gives `resumeStep: k`: measurements of earlier attempts beyond k are then hidden.
   */
  begin(iteration: number, stage: string, { resumeStep = null }: { resumeStep?: number | null } = {}): number {
    return this.#file.write(() => {
      const attempt = this.attempt(iteration, stage) + 1;
      const startedAt = this.#now();
      this.#file.run('INSERT INTO attempts VALUES (?, ?, ?, ?, ?)', [iteration, stage, attempt, resumeStep, startedAt]);
      this.#file.run(
        `INSERT INTO stages VALUES (?, ?, 'running', ?, ?, NULL, NULL, NULL) ON CONFLICT DO UPDATE
         SET status = 'running', attempt = excluded.attempt, startedAt = excluded.startedAt, finishedAt = NULL, error = NULL`,
        [iteration, stage, attempt, startedAt],
      );
      return attempt;
    });
  }

  /** Notes that a stage is done, and how long this attempt took. Throws RunError when it was never begun. */
  finish(iteration: number, stage: string, { seconds = null }: { seconds?: number | null } = {}): void {
    this.#file.write(() => {
      const sql = `UPDATE stages SET status = 'finished', finishedAt = coalesce(finishedAt, ?), seconds = ?, error = NULL
        WHERE iteration = ? AND stage = ?`;
      if (this.#file.run(sql, [this.#now(), seconds, iteration, stage]) > 0) return;
      throw new RunError(
        'STAGE_NOT_BEGUN',
        `Cannot finish stage "${stage}" of iteration ${iteration}: it was never begun: begin it first`,
      );
    });
  }

  /** Notes that a stage waits for answers from outside; beginning it again goes on with it. */
  suspend(iteration: number, stage: string): void {
    this.#file.write(() =>
      this.#file.run(`UPDATE stages SET status = 'waiting' WHERE iteration = ? AND stage = ?`, [iteration, stage]),
    );
  }

  /** Notes that the stages under way failed, and why; beginning a stage again forgets it. */
  failRunning(error: { code: string; message: string }): void {
    const text = JSON.stringify({ code: error.code, message: error.message });
    this.#file.write(() =>
      this.#file.run(`UPDATE stages SET status = 'failed', error = ? WHERE status = 'running'`, [text]),
    );
  }

  /** How a stage stands; `none` when it never started. */
  status(iteration: number, stage: string): StageStatus {
    const sql = 'SELECT status FROM stages WHERE iteration = ? AND stage = ?';
    return (this.#file.one(sql, [iteration, stage])?.status ?? 'none') as StageStatus;
  }

  /** Number of the latest attempt of a stage, 0 when it never started. */
  attempt(iteration: number, stage: string): number {
    const sql = 'SELECT max(attempt) AS attempt FROM attempts WHERE iteration = ? AND stage = ?';
    return Number(this.#file.one(sql, [iteration, stage])?.attempt ?? 0);
  }

  /** All stages that were started, in that order. */
  all(): StageRecord[] {
    return this.#file.all('SELECT * FROM stages ORDER BY iteration, startedAt, stage', []).map(toStage);
  }
}
