/**
 * @file What judges' servers replied in a run, in its ledger. Every reply is kept, usable or not: a question that has an answer
 * is never paid for again, and spending is counted over all attempts at the run.
 */
import type { AnswerStore, RawAnswer, Spending } from '../rank/services.ts';
import type { LedgerFile } from './ledger-file.ts';

/** The replies in an open ledger. */
export class LedgerAnswers implements AnswerStore {
  readonly #file: LedgerFile;
  readonly #now: () => string;

  /** `now` gives the time as ISO 8601. */
  constructor(file: LedgerFile, now: () => string) {
    this.#file = file;
    this.#now = now;
  }

  /** Keeps a reply, beside earlier ones under the same key. */
  put(key: string, { rankerId, outcome, text, promptTokens, completionTokens }: RawAnswer): void {
    this.#file.write(() => {
      const sql = 'INSERT INTO answers SELECT ?, count(*) + 1, ?, ?, ?, ?, ?, ? FROM answers WHERE key = ?';
      this.#file.run(sql, [key, rankerId, outcome, text, promptTokens, completionTokens, this.#now(), key]);
    });
  }

  /** Body of the usable reply under a key, or null. */
  get(key: string): string | null {
    const row = this.#file.one(`SELECT text FROM answers WHERE key = ? AND outcome = 'answer'`, [key]);
    return row === undefined ? null : String(row.text);
  }

  /** Replies under a key, usable or not, in the order in which they came. */
  all(key: string): RawAnswer[] {
    const columns = 'rankerId, outcome, text, promptTokens, completionTokens';
    return this.#file.all(`SELECT ${columns} FROM answers WHERE key = ? ORDER BY attempt`, [
      key,
    ]) as unknown as RawAnswer[];
  }

  /** What a ranker has used. */
  spent(rankerId: string): Spending {
    const sql = `SELECT count(*) AS calls, coalesce(sum(promptTokens), 0) AS promptTokens,
      coalesce(sum(completionTokens), 0) AS completionTokens FROM answers WHERE rankerId = ?`;
    return this.#file.one(sql, [rankerId]) as unknown as Spending;
  }
}
