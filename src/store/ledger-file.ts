/**
 * @file The SQLite file under a ledger: transactions that are durable when they return, rows that are never rewritten, and
 * SQLite's errors as those of a run.
 */

import { RunError } from '../errors.ts';
import type { Database, Statement } from '../files/sqlite.ts';
import type { Row } from './ledger-rows.ts';
import { translate } from './ledger-schema.ts';

/** A row of a table, and which of its columns name it. */
interface KeyedRow {
  key: Row;
  values: Row;
}

export class LedgerFile {
  readonly path: string;
  readonly #database: Database;
  readonly #statements = new Map<string, Statement>();

  constructor(database: Database, path: string) {
    this.#database = database;
    this.path = path;
  }

  /** Closes the file; a second call does nothing. */
  close(): void {
    this.#database.close();
  }

  /** Inserts a row; the same row again changes nothing, another under the same key is refused. */
  put(table: string, row: KeyedRow): void {
    this.write(() => this.#insert(table, row));
  }

  /** Inserts rows as put() does, all or none: one wait for the disk. */
  putAll(table: string, rows: readonly KeyedRow[]): void {
    this.write(() => {
      for (const row of rows) this.#insert(table, row);
    });
  }

  #insert(table: string, { key, values }: KeyedRow): void {
    const columns = Object.keys({ ...key, ...values }).map((name) => `"${name}"`);
    const sql = `INSERT INTO ${table} (${columns}) VALUES (${columns.map(() => '?')}) ON CONFLICT DO NOTHING`;
    if (this.run(sql, [...Object.values(key), ...Object.values(values)]) > 0) return;
    const where = Object.keys(key).map((name) => `"${name}" = ?`);
    const stored = this.one(`SELECT * FROM ${table} WHERE ${where.join(' AND ')}`, Object.values(key)) ?? {};
    const differing = Object.keys(values).find((name) => !sameValue(stored[name], values[name]));
    if (differing === undefined) return;
    throw new RunError(
      'LEDGER_CONFLICT',
      `Cannot put ${JSON.stringify(key)} into "${table}": it is there with another ${differing}: history is not rewritten, start a new run`,
      { details: { path: this.path, table, key, field: differing } },
    );
  }

  /** Runs a body as one transaction, durable when it returns. */
  write<Result>(body: () => Result): Result {
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

  /** Runs a statement inside `write`; returns how many rows it changed. */
  run(sql: string, values: unknown[]): number {
    return this.#prepare(sql).run(...values).changes;
  }

  /** The first row of a query. */
  one(sql: string, values: unknown[]): Row | undefined {
    return this.#guard(() => this.#prepare(sql).get(...values) as Row | undefined);
  }

  /** All rows of a query. */
  all(sql: string, values: unknown[]): Row[] {
    return this.#guard(() => this.#prepare(sql).all(...values) as Row[]);
  }

  #prepare(sql: string): Statement {
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

function sameValue(stored: unknown, value: unknown): boolean {
  if (stored instanceof Uint8Array && value instanceof Uint8Array) return Buffer.compare(stored, value) === 0;
  return stored === value;
}
