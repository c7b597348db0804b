/**
 * @file The tables of run.db and how a file is recognised as ours. Anyone may read them with SQLite; the format version is in
 * `user_version`, and a version above ours is never opened.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { FileError, RunError } from '../errors.ts';
import { errorCode, fileError, freeSpace } from '../files/fs.ts';
import { Database } from '../files/sqlite.ts';

/** Version of the tables below. A change of meaning raises it and brings a migration and a test. */
export const LEDGER_FORMAT_VERSION = 5;
/** "selm" in ASCII: SQLite's own field for whose file it is. */
export const LEDGER_APPLICATION_ID = 0x73656c6d;

/** Every reply of a judge's server. outcome: an 'answer' is never asked for again, at most one a key. text: the body. */
const answersTable = (scope: '' | 'TEMP '): string => `CREATE ${scope}TABLE answers (
  key TEXT NOT NULL, attempt INTEGER NOT NULL, rankerId TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('answer', 'problem')), text TEXT NOT NULL,
  promptTokens INTEGER, completionTokens INTEGER, receivedAt TEXT NOT NULL,
  PRIMARY KEY (key, attempt)) STRICT;`;
const ANSWERS_INDEX = 'CREATE INDEX answersOfRanker ON answers (rankerId);';

const STAGES_TABLE = `CREATE TABLE stages (
  iteration INTEGER NOT NULL, stage TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('running', 'waiting', 'finished', 'failed')),
  attempt INTEGER NOT NULL, startedAt TEXT NOT NULL, finishedAt TEXT, seconds REAL, error TEXT,
  PRIMARY KEY (iteration, stage)) STRICT;`;

/**
 * The metrics that count: not what an earlier attempt measured beyond the step that a later one went on from, and not what
 * a later attempt measured again.
 */
const currentMetrics = (scope: '' | 'TEMP '): string => `CREATE ${scope}VIEW currentMetrics AS SELECT * FROM metrics m
  WHERE NOT EXISTS (SELECT 1 FROM attempts later WHERE later.iteration = m.iteration AND later.stage = m.stage
      AND later.attempt > m.attempt AND later.resumeStep < m.step)
    AND NOT EXISTS (SELECT 1 FROM metrics again WHERE again.iteration = m.iteration AND again.stage = m.stage
      AND again.step = m.step AND again.attempt > m.attempt);`;

/** Tables that came with version 3, in one that is made (`''`) and, empty, beside an older one that is only read. */
const tablesOfVersion3 = (scope: '' | 'TEMP '): string => `
-- The rows of the data that the run uses, as JSON, and which of them each iteration sees; 0 is the warm start.
CREATE ${scope}TABLE prompts (promptId TEXT PRIMARY KEY, row TEXT NOT NULL) STRICT;
CREATE ${scope}TABLE slices (
  iteration INTEGER NOT NULL, position INTEGER NOT NULL, promptId TEXT NOT NULL,
  PRIMARY KEY (iteration, position)) STRICT, WITHOUT ROWID;
-- What was too long for a ranker and lost a part before it was judged.
CREATE ${scope}TABLE cuts (
  iteration INTEGER NOT NULL, stage TEXT NOT NULL, promptId TEXT NOT NULL, promptCut INTEGER NOT NULL,
  responsesCut INTEGER NOT NULL, PRIMARY KEY (iteration, stage, promptId)) STRICT;
-- What a model answered to held-out prompts. settings: a hash of how it was sampled.
CREATE ${scope}TABLE held_out_responses (
  samplerSha256 TEXT NOT NULL, settings TEXT NOT NULL, promptId TEXT NOT NULL, sampleIndex INTEGER NOT NULL,
  text TEXT NOT NULL, length INTEGER NOT NULL, tokenIds BLOB NOT NULL,
  finish TEXT NOT NULL CHECK (finish IN ('stop', 'length')), logProb REAL NOT NULL,
  PRIMARY KEY (samplerSha256, settings, promptId, sampleIndex)) STRICT;`;

/** Tables that came with version 4. */
const tablesOfVersion4 = (scope: '' | 'TEMP '): string => `
-- What models answered to items of benchmarks, JSON; the key is a hash of the model and of all that it was asked.
CREATE ${scope}TABLE benchmark_answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL) STRICT, WITHOUT ROWID;`;

/** Counts and measurements, JSON; each kind has its type in records.ts. */
const RECORDS_TABLE = `CREATE TABLE records (
  iteration INTEGER NOT NULL, kind TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (iteration, kind)) STRICT;`;

/** How version 2 kept them, in a table of any JSON under any name. */
const RECORDS_OF_VERSION_2 = `SELECT iteration,
    CASE kind WHEN 'data' THEN 'data-audit' WHEN 'pairs' THEN 'pair-counts' ELSE kind END AS kind, audit AS record
  FROM audits WHERE kind IN ('data', 'pairs', 'rankers', 'evaluation', 'exploration')`;
const STAGES_OF_VERSION_2 = `SELECT iteration, stage, status, attempt, startedAt, finishedAt,
    (SELECT CAST(audit AS REAL) FROM audits a WHERE a.iteration = s.iteration AND a.kind = 'seconds/' || s.stage) AS seconds,
    NULL AS error FROM main.stages s`;
const CUTS_OF_VERSION_2 = `SELECT iteration,
    CASE WHEN kind LIKE 'second ranker cut/%' THEN 'second-opinion' WHEN kind LIKE 'label cut/%' THEN 'label' ELSE 'rank' END,
    substr(kind, instr(kind, '/') + 1), json_extract(audit, '$.prompt'), json_extract(audit, '$.responses')
  FROM audits WHERE kind LIKE '%cut/%'`;

/** What makes version n + 1 of a file of version n: item 0 goes from 1 to 2. */
const MIGRATIONS: readonly string[] = [
  `${answersTable('')} ${ANSWERS_INDEX} ALTER TABLE rankings ADD COLUMN judgements TEXT;`,
  `ALTER TABLE stages RENAME TO stagesOfVersion2;
   ${STAGES_TABLE} INSERT INTO stages ${STAGES_OF_VERSION_2.replace('main.stages', 'stagesOfVersion2')};
   DROP TABLE stagesOfVersion2;
   ${tablesOfVersion3('')} INSERT INTO cuts ${CUTS_OF_VERSION_2};
   ${RECORDS_TABLE} INSERT INTO records ${RECORDS_OF_VERSION_2};
   ${currentMetrics('')}
   DROP TABLE audits;`,
  tablesOfVersion4(''),
  'ALTER TABLE pairs ADD COLUMN probability REAL; ALTER TABLE pairs ADD COLUMN weight REAL;',
];

/** What lets an older file be read as it is: temporary tables lie outside the file, and hide those of the same name. */
const READ_BESIDE: readonly string[] = [
  answersTable('TEMP '),
  `${tablesOfVersion3('TEMP ')} INSERT INTO temp.cuts ${CUTS_OF_VERSION_2}; CREATE TEMP VIEW stages AS ${STAGES_OF_VERSION_2};
   CREATE TEMP VIEW records AS ${RECORDS_OF_VERSION_2};
   ${currentMetrics('TEMP ')}`,
  tablesOfVersion4('TEMP '),
  '', // columns of pairs, which a reader does without
];

const TABLES = `
-- How often a stage was started, and how it stands. seconds: of its last attempt. error: why it failed, as JSON.
${STAGES_TABLE}
-- Each start of a stage; resumeStep: the step whose state it went on from, NULL when that does not apply.
CREATE TABLE attempts (
  iteration INTEGER NOT NULL, stage TEXT NOT NULL, attempt INTEGER NOT NULL, resumeStep INTEGER, startedAt TEXT NOT NULL,
  PRIMARY KEY (iteration, stage, attempt)) STRICT;
-- What the policy answered. tokenIds: little-endian int32. samplerSha256: the weights it was sampled from.
CREATE TABLE responses (
  iteration INTEGER NOT NULL, promptId TEXT NOT NULL, sampleIndex INTEGER NOT NULL, text TEXT NOT NULL,
  tokenIds BLOB NOT NULL, finish TEXT NOT NULL CHECK (finish IN ('stop', 'length')), logProb REAL NOT NULL,
  samplerSha256 TEXT NOT NULL, seed INTEGER NOT NULL,
  PRIMARY KEY (iteration, promptId, sampleIndex)) STRICT;
-- What the ranker said about which candidates. "order": indices into candidates, best first. judgements: the answers it was
-- made from, by key of \`answers\`. JSON but for ids.
CREATE TABLE rankings (
  iteration INTEGER NOT NULL, promptId TEXT NOT NULL, rankerId TEXT NOT NULL, candidates TEXT NOT NULL, scores TEXT,
  "order" TEXT NOT NULL, ties TEXT NOT NULL, problem TEXT, judgements TEXT,
  PRIMARY KEY (iteration, promptId, rankerId)) STRICT;
${answersTable('')}
${ANSWERS_INDEX}
-- What was trained on. response: the text of the exploration term. *From: JSON, which candidate a text was. probability: that the
-- chosen is better, and weight: how much the pair counts; NULL is certain, and as any other.
CREATE TABLE pairs (
  pairId TEXT PRIMARY KEY, iteration INTEGER NOT NULL, promptId TEXT NOT NULL, chosen TEXT NOT NULL, rejected TEXT NOT NULL,
  response TEXT, chosenFrom TEXT NOT NULL, rejectedFrom TEXT NOT NULL, rankerId TEXT, scoreChosen REAL, scoreRejected REAL,
  source TEXT, probability REAL, weight REAL) STRICT;
CREATE INDEX pairsOfIteration ON pairs (iteration, promptId);
-- log pi_ref of a token sequence; the key is a hash of weights and tokens.
CREATE TABLE reference_log_probs (key TEXT PRIMARY KEY, logProb REAL NOT NULL) STRICT, WITHOUT ROWID;
-- One number a row; value NULL is not-a-number.
CREATE TABLE metrics (
  iteration INTEGER NOT NULL, stage TEXT NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL, name TEXT NOT NULL,
  value REAL, PRIMARY KEY (iteration, stage, step, attempt, name)) STRICT, WITHOUT ROWID;
-- Counts and measurements, JSON.
${RECORDS_TABLE}
${tablesOfVersion3('')}
${tablesOfVersion4('')}
${currentMetrics('')}
`;

/** How a ledger is opened. `glance`: for reading a few of its rows; what is damaged elsewhere in it is not looked for, which would read all of it. */
export type LedgerAccess = 'write' | 'read' | 'glance';

/** Opens run.db, creating its tables in an empty file. Throws RunError for a foreign, newer or damaged file. */
export function openDatabase(path: string, access: LedgerAccess): Database {
  if (access !== 'write' && !existsSync(path)) {
    throw new RunError('LEDGER_MISSING', `Cannot open ledger "${path}": it does not exist: give the folder of a run`, {
      details: { path },
    });
  }
  let database: Database | undefined;
  try {
    database = new Database(path, { readonly: access !== 'write' });
    checkOwner(database, path);
    if (access === 'write') prepareForWriting(database);
    else for (const tables of READ_BESIDE.slice(pragmaNumber(database, 'user_version') - 1)) database.exec(tables);
    if (access === 'glance') return database;
    const [verdict] = database.pragma('quick_check(1)', { simple: false }) as { quick_check: string }[];
    if (verdict?.quick_check !== 'ok') throw damaged(path, verdict?.quick_check);
    return database;
  } catch (error) {
    database?.close();
    throw translate(error, path);
  }
}

function checkOwner(database: Database, path: string): void {
  const version = pragmaNumber(database, 'user_version');
  const owner = pragmaNumber(database, 'application_id');
  const empty = pragmaNumber(database, 'schema_version') === 0;
  if (empty && !database.readonly) return;
  if (owner !== LEDGER_APPLICATION_ID) {
    throw new RunError(
      'LEDGER_FOREIGN',
      `Cannot open ledger "${path}": it is a database of another program: choose another output`,
      {
        details: { path },
      },
    );
  }
  if (version > LEDGER_FORMAT_VERSION) {
    throw new RunError(
      'FORMAT_NEWER',
      `Cannot open ledger "${path}": it has format version ${version}, this program knows ${LEDGER_FORMAT_VERSION}: update selm`,
      { details: { path, version } },
    );
  }
}

function prepareForWriting(database: Database): void {
  database.pragma('journal_mode = WAL');
  // FULL makes each commit durable: about 0.2 ms each, little beside a sampled response or a training step.
  database.pragma('synchronous = FULL');
  if (pragmaNumber(database, 'schema_version') > 0) {
    migrate(database);
    return;
  }
  database.transaction(() => {
    database.exec(TABLES);
    database.pragma(`application_id = ${LEDGER_APPLICATION_ID}`);
    database.pragma(`user_version = ${LEDGER_FORMAT_VERSION}`);
  })();
}

/** Brings a file of an older version up to ours, whole or not at all. */
function migrate(database: Database): void {
  const version = pragmaNumber(database, 'user_version');
  if (version === LEDGER_FORMAT_VERSION) return;
  database.transaction(() => {
    for (const step of MIGRATIONS.slice(version - 1)) database.exec(step);
    database.pragma(`user_version = ${LEDGER_FORMAT_VERSION}`);
  })();
}

function pragmaNumber(database: Database, name: string): number {
  return Number(database.pragma(name, { simple: true }));
}

/** Errors of SQLite as errors of a run. */
export function translate(error: unknown, path: string): Error {
  const code = errorCode(error) ?? '';
  if (!code.startsWith('SQLITE_')) return error instanceof Error ? error : new Error(String(error));
  if (code.startsWith('SQLITE_NOTADB') || code.startsWith('SQLITE_CORRUPT')) return damaged(path, error);
  const refusal = code.startsWith('SQLITE_FULL') ? systemError('ENOSPC') : writingRefused(path);
  if (refusal !== null) return fileError(refusal, { action: 'write to ledger', path });
  if (code.startsWith('SQLITE_IOERR')) {
    return new FileError(
      'FILE_IO',
      `Cannot use ledger "${path}": the disk failed (${code}): what was written before is safe: check the disk, and run the same command again`,
      { cause: error, details: { path, sqlite: code } },
    );
  }
  const text = error instanceof Error ? error.message : code;
  return new RunError('LEDGER_FAILED', `Cannot use ledger "${path}": ${text}: check its folder's permissions`, {
    cause: error,
    details: { path, sqlite: code },
  });
}

/** Below this a disk is full for SQLite: a page of the log, or the 32 KB that it maps, find no room. */
const FULL_BELOW_BYTES = 64 * 1024;

/** SQLite keeps the system's reason to itself: what the system says when asked about the folder; null when all is well. */
function writingRefused(path: string): unknown {
  const folder = dirname(path);
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    return error;
  }
  const freeBytes = freeSpace(folder);
  return freeBytes !== null && freeBytes < FULL_BELOW_BYTES ? systemError('ENOSPC') : null;
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function damaged(path: string, cause: unknown): RunError {
  return new RunError(
    'LEDGER_DAMAGED',
    `Cannot open ledger "${path}": it is not a SQLite database, or it is damaged: restore it from a copy, or start again under another name`,
    { cause, details: { path } },
  );
}
