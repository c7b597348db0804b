/**
 * @file Stored answers of models: a model that is asked the same thing again answers from here. The store is a SQLite
 * file of its own, so that evaluations of all runs share it. Scores are not stored; they are computed from the answers
 * each time.
 */
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { FileError } from '../../errors.ts';
import { Database } from '../../files/sqlite.ts';

/** Where answers are kept, by a hash of all that decides them. */
export interface AnswerStore {
  /** JSON, or null. */
  get(key: string): string | null;
  /** All of them are there afterwards, or none. */
  put(answers: readonly { key: string; answer: string }[]): void;
  close(): void;
}

/** "sele" in ASCII: SQLite's own field for whose file it is. */
const APPLICATION_ID = 0x73656c65;
const FORMAT_VERSION = 1;

/** The file that is used where none is named: in the user's cache folder. */
export function defaultStorePath(environment: NodeJS.ProcessEnv = process.env): string {
  return join(environment.XDG_CACHE_HOME || join(environment.HOME ?? homedir(), '.cache'), 'selm', 'evaluations.db');
}

/** Opens or makes a store. FileError EVALUATION_STORE for a file that is none, or of a newer selm. */
export function openAnswerStore(path: string): AnswerStore {
  const database = opened(path);
  const find = database.prepare<[string], { answer: string }>('SELECT answer FROM answers WHERE key = ?');
  const insert = database.prepare('INSERT OR REPLACE INTO answers (key, answer) VALUES (?, ?)');
  const putAll = database.transaction((answers: readonly { key: string; answer: string }[]) => {
    for (const { key, answer } of answers) insert.run(key, answer);
  });
  return {
    get: (key) => find.get(key)?.answer ?? null,
    put: (answers) => putAll(answers),
    close: () => database.close(),
  };
}

/** Answers that are forgotten with the process. */
export function memoryStore(): AnswerStore {
  const answers = new Map<string, string>();
  return {
    get: (key) => answers.get(key) ?? null,
    put: (added) => {
      for (const { key, answer } of added) answers.set(key, answer);
    },
    close: () => {},
  };
}

function opened(path: string): Database {
  const refuse = (reason: string, cause?: unknown) =>
    new FileError('EVALUATION_STORE', `Cannot keep answers in ${path}: ${reason}: name another file with --store`, {
      cause,
      details: { path },
    });
  let database: Database;
  try {
    mkdirSync(dirname(path), { recursive: true });
    database = new Database(path);
    database.pragma('journal_mode = WAL');
    database.pragma('busy_timeout = 10000');
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error), error);
  }
  const version = Number(database.pragma('user_version', { simple: true }));
  const owner = Number(database.pragma('application_id', { simple: true }));
  if (owner !== APPLICATION_ID && (owner !== 0 || version !== 0)) {
    database.close();
    throw refuse('it is a database of something else');
  }
  if (version > FORMAT_VERSION) {
    database.close();
    throw refuse(`its format ${version} is of a newer selm`);
  }
  database.pragma(`application_id = ${APPLICATION_ID}`);
  database.pragma(`user_version = ${FORMAT_VERSION}`);
  database.exec(
    'CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL) STRICT, WITHOUT ROWID',
  );
  return database;
}
