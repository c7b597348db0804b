import { copyFileSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { PreferenceRow } from '../data/rows.ts';
import { Database } from '../files/sqlite.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import type { RawAnswer } from '../rank/services.ts';
import type { Evaluation } from './evaluations.ts';
import { type Ledger, type LedgerOptions, openLedger } from './ledger.ts';
import type { HeldOutResponse, PairRecord, RankingRecord, ResponseRecord } from './ledger-rows.ts';
import { LEDGER_FORMAT_VERSION, translate } from './ledger-schema.ts';

function newLedger(options: LedgerOptions = {}): Ledger {
  const ledger = openLedger(join(temporaryFolder(), 'run.db'), options);
  onTestFinished(() => ledger.close());
  return ledger;
}

const response: ResponseRecord = {
  iteration: 1,
  promptId: 'p',
  sampleIndex: 0,
  text: 'Good "answer" \u{1f600}\n',
  tokenIds: Int32Array.of(0, 1, 32_000, 2 ** 31 - 1, -1),
  finish: 'stop',
  logProb: -12.345678901234567,
  samplerSha256: 'aa',
  seed: 2 ** 53 - 1,
};
const heldOut: HeldOutResponse = {
  samplerSha256: 'aa',
  settings: 's',
  promptId: 'p',
  sampleIndex: 0,
  text: 'An answer',
  length: 1,
  tokenIds: Int32Array.of(5, 2),
  finish: 'stop',
  logProb: -1.5,
};
const ranking: RankingRecord = {
  iteration: 1,
  promptId: 'p',
  rankerId: 'function:reward.ts',
  candidates: [
    { kind: 'response', sampleIndex: 0, text: 'Good' },
    { kind: 'chosen', sampleIndex: null, text: 'Fine' },
    { kind: 'rejected', sampleIndex: null, text: 'Bad' },
  ],
  scores: [0.1 + 0.2, 2, -1],
  order: [1, 0, 2],
  ties: [[0, 1]],
};
const answer: RawAnswer = {
  rankerId: 'judge',
  outcome: 'answer',
  text: '{"choices": ...}',
  promptTokens: 100,
  completionTokens: 1,
};
const pair: PairRecord = {
  pairId: 'pair-1',
  iteration: 1,
  promptId: 'p',
  chosen: 'Fine',
  rejected: 'Bad',
  response: 'Good',
  chosenFrom: { kind: 'chosen', sampleIndex: null },
  rejectedFrom: { kind: 'rejected', sampleIndex: null },
  rankerId: 'function:reward.ts',
  scoreChosen: 2,
  scoreRejected: -1,
  label: { probability: 0.75, weight: 2 },
  source: { file: 'rows.jsonl', line: 7 },
};

test('a ledger gives back exactly what was put, also after it was closed and opened again', () => {
  const ledger = newLedger();
  ledger.putResponses([response]);
  ledger.putRanking(ranking);
  ledger.putPairs([pair]);
  ledger.putReferenceLogProbs([{ key: 'k', logProb: -0.1 }]);
  ledger.close();
  using again = openLedger(ledger.path);
  expect(again.responses(1)).toEqual([response]);
  expect(again.rankings(1)).toEqual([ranking]);
  expect(again.pairs(1)).toEqual([pair]);
  expect(again.getReferenceLogProb('k')).toBe(-0.1);
  expect(again.getReferenceLogProb('unknown')).toBeNull();
  expect([again.responses(2), again.rankings(2), again.pairs(2)]).toEqual([[], [], []]);
});

test('putting the same thing again changes nothing', () => {
  const ledger = newLedger();
  for (let time = 0; time < 3; time++) {
    ledger.putResponses([response]);
    ledger.putRanking(ranking);
    ledger.putPairs([pair]);
    ledger.putReferenceLogProbs([{ key: 'k', logProb: -1 }]);
  }
  expect([ledger.responses(1).length, ledger.rankings(1).length, ledger.pairs(1).length]).toEqual([1, 1, 1]);
});

test('of responses that are put together all are kept, or none where one is refused', () => {
  const ledger = newLedger();
  ledger.putResponses([response]);
  const fresh = { ...response, sampleIndex: 7 };
  expect(() => ledger.putResponses([fresh, { ...response, text: 'other' }])).toThrow('history is not rewritten');
  expect(ledger.responses(1)).toHaveLength(1);
  ledger.putResponses([fresh, response]);
  expect(ledger.responses(1)).toHaveLength(2);
});

test('putting something else under the same key is refused, naming the field, and keeps the old', () => {
  const ledger = newLedger();
  ledger.putResponses([response]);
  ledger.putRanking(ranking);
  ledger.putPairs([pair]);
  const conflict = (field: string) =>
    expect.objectContaining({ name: 'RunError', code: 'LEDGER_CONFLICT', details: expect.objectContaining({ field }) });
  expect(() => ledger.putResponses([{ ...response, text: 'other' }])).toThrow(conflict('text'));
  expect(() => ledger.putResponses([{ ...response, tokenIds: Int32Array.of(1) }])).toThrow(conflict('tokenIds'));
  expect(() => ledger.putRanking({ ...ranking, order: [0, 1, 2] })).toThrow(conflict('order'));
  expect(() => ledger.putPairs([{ ...pair, response: null }])).toThrow(conflict('response'));
  expect(() => ledger.putPairs([{ ...pair, iteration: 2 }])).toThrow('history is not rewritten');
  expect(ledger.responses(1)).toEqual([response]);
});

test('a reference log-probability that is there keeps its value, and what is not a number is refused with its whole batch', () => {
  const ledger = newLedger();
  ledger.putReferenceLogProbs([{ key: 'a', logProb: -1 }]);
  ledger.putReferenceLogProbs([
    { key: 'a', logProb: -2 },
    { key: 'b', logProb: Number.NEGATIVE_INFINITY },
  ]);
  expect(ledger.getReferenceLogProb('a')).toBe(-1);
  expect(ledger.getReferenceLogProb('b')).toBe(Number.NEGATIVE_INFINITY);
  expect(() =>
    ledger.putReferenceLogProbs([
      { key: 'c', logProb: -3 },
      { key: 'd', logProb: Number.NaN },
    ]),
  ).toThrow('"d": it is not a number');
  expect(ledger.getReferenceLogProb('c')).toBeNull();
});

test('rows come back in an order that does not depend on when they were put', () => {
  const ledger = newLedger();
  for (const [promptId, sampleIndex] of [
    ['b', 1],
    ['a', 10],
    ['b', 0],
    ['a', 2],
  ] as const) {
    ledger.putResponses([{ ...response, promptId, sampleIndex }]);
    ledger.putPairs([{ ...pair, pairId: `${promptId}-${sampleIndex}`, promptId }]);
    ledger.putRanking({ ...ranking, promptId, rankerId: `r${sampleIndex}` });
  }
  expect(ledger.responses(1).map(({ promptId, sampleIndex }) => promptId + sampleIndex)).toEqual([
    'a2',
    'a10',
    'b0',
    'b1',
  ]);
  expect(ledger.pairs(1).map(({ pairId }) => pairId)).toEqual(['a-10', 'a-2', 'b-0', 'b-1']);
  expect(ledger.rankings(1).map(({ rankerId }) => rankerId)).toEqual(['r10', 'r2', 'r0', 'r1']);
});

test('pairLineage() joins a pair with the responses and verdicts on its prompt in its iteration', () => {
  const ledger = newLedger();
  ledger.putResponses([{ ...response, sampleIndex: 1 }]);
  ledger.putResponses([response]);
  ledger.putResponses([{ ...response, promptId: 'other' }]);
  ledger.putResponses([{ ...response, iteration: 2 }]);
  ledger.putRanking(ranking);
  ledger.putRanking({ ...ranking, iteration: 2 });
  ledger.putPairs([pair]);
  expect(ledger.pairLineage('pair-1')).toEqual({
    pair,
    responses: [response, { ...response, sampleIndex: 1 }],
    rankings: [ranking],
  });
  expect(ledger.pairLineage('missing')).toBeNull();
});

test('a ranking without scores and with a problem, and a pair straight from the data, come back as they are', () => {
  const ledger = newLedger();
  ledger.putRanking({ ...ranking, scores: null, order: [], ties: [], problem: 'timed out' });
  expect(ledger.rankings(1)).toEqual([{ ...ranking, scores: null, order: [], ties: [], problem: 'timed out' }]);
  const { rankerId: _, scoreChosen: __, scoreRejected: ___, label: ____, source: _____, ...plain } = pair;
  ledger.putPairs([{ ...plain, response: null }]);
  expect(ledger.pairs(1)).toEqual([
    { ...plain, response: null, rankerId: null, scoreChosen: null, scoreRejected: null, label: null, source: null },
  ]);
});

test('answers under one key are kept in order, the usable one is found, and spending is by ranker', () => {
  const ledger = newLedger();
  const problem: RawAnswer = {
    ...answer,
    outcome: 'problem',
    text: 'HTTP 500',
    promptTokens: null,
    completionTokens: null,
  };
  ledger.answers.put('k', problem);
  expect(ledger.answers.get('k')).toBeNull();
  ledger.answers.put('k', answer);
  ledger.answers.put('other', { ...answer, rankerId: 'another judge' });
  ledger.close();
  using again = openLedger(ledger.path);
  expect(again.answers.all('k')).toEqual([problem, answer]);
  expect(again.answers.get('k')).toBe(answer.text);
  expect(again.answers.spent('judge')).toEqual({ calls: 2, promptTokens: 100, completionTokens: 1 });
  expect(again.answers.spent('nobody')).toEqual({ calls: 0, promptTokens: 0, completionTokens: 0 });
});

test('judgements of a ranking come back as they are', () => {
  const ledger = newLedger();
  const judged = { ...ranking, judgements: [{ shown: [0, 1], value: 0.25, answerKey: 'k' }] };
  ledger.putRanking(judged);
  expect(ledger.rankings(1)).toEqual([judged]);
});

/** A file as an older version left it, with one row of each table that changed since. */
function olderFile(version: 1 | 2 | 3 | 4): string {
  const path = join(temporaryFolder(), 'run.db');
  const ledger = openLedger(path);
  ledger.putRanking(ranking);
  ledger.close();
  const database = new Database(path);
  database.exec('ALTER TABLE pairs DROP COLUMN probability; ALTER TABLE pairs DROP COLUMN weight');
  if (version === 4) {
    database.pragma('user_version = 4');
    database.close();
    return path;
  }
  database.exec('DROP TABLE benchmark_answers');
  if (version === 3) {
    database.pragma('user_version = 3');
    database.close();
    return path;
  }
  database.exec(`DROP VIEW currentMetrics; DROP TABLE records; DROP TABLE prompts; DROP TABLE slices; DROP TABLE cuts; DROP TABLE held_out_responses;
    DROP TABLE stages;
    CREATE TABLE stages (
      iteration INTEGER NOT NULL, stage TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('running', 'finished')),
      attempt INTEGER NOT NULL, startedAt TEXT NOT NULL, finishedAt TEXT, PRIMARY KEY (iteration, stage)) STRICT;
    CREATE TABLE audits (
      iteration INTEGER NOT NULL, kind TEXT NOT NULL, audit TEXT NOT NULL, PRIMARY KEY (iteration, kind)) STRICT;
    INSERT INTO stages VALUES (1, 'rank', 'finished', 2, '2026-01-01T00:00:00.000Z', '2026-01-01T00:01:00.000Z'),
      (2, 'rank', 'running', 1, '2026-01-01T00:02:00.000Z', NULL);
    INSERT INTO audits VALUES (0, 'data', '{"text":"3 rows"}'), (0, 'rankers', '{"first":"a","second":null}'),
      (1, 'pairs', '{"pairs":2,"from":{"response over chosen":2},"skipped":{}}'), (1, 'seconds/rank', '1.5'),
      (1, 'ranker cut', '{"prompts":1,"responses":3}'), (1, 'ranker cut/p1', '{"prompt":true,"responses":1}'),
      (1, 'ranker cut/p2', '{"prompt":false,"responses":2}'), (1, 'second ranker cut/p1', '{"prompt":false,"responses":1}');`);
  if (version === 1) database.exec('DROP TABLE answers; ALTER TABLE rankings DROP COLUMN judgements');
  database.pragma(`user_version = ${version}`);
  database.close();
  return path;
}

/** What both older files hold, in today's words. */
function expectOlderContent(ledger: Ledger): void {
  expect(ledger.rankings(1)).toEqual([ranking]);
  expect(
    ledger.stages
      .all()
      .map(({ iteration, status, attempt, seconds, error }) => [iteration, status, attempt, seconds, error]),
  ).toEqual([
    [1, 'finished', 2, 1.5, null],
    [2, 'running', 1, null, null],
  ]);
  expect(ledger.record(0, 'data-audit')).toEqual({ text: '3 rows', used: null });
  expect(ledger.record(0, 'rankers')).toEqual({ first: 'a', second: null });
  expect(ledger.record(1, 'pair-counts')?.pairs).toBe(2);
  expect(ledger.cuts(1, 'rank')).toEqual({ prompts: 1, responses: 3 });
  expect(ledger.cuts(1, 'second-opinion')).toEqual({ prompts: 0, responses: 1 });
  expect([ledger.slice(1), ledger.row('p1')]).toEqual([[], null]);
}

/** Tables and their columns. */
function tablesOf(path: string): unknown {
  using database = closing(new Database(path, { readonly: true }));
  const names = database.value
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    .pluck()
    .all();
  return names.map((name) => [name, database.value.pragma(`table_info(${String(name)})`)]);
}

function closing(value: Database): { value: Database; [Symbol.dispose](): void } {
  return { value, [Symbol.dispose]: () => value.close() };
}

test.each([1, 2] as const)(
  'a ledger of version %i is brought up to date when it is opened for writing, and nothing of it is lost',
  (version) => {
    const path = olderFile(version);
    for (let time = 0; time < 2; time++) {
      using ledger = openLedger(path);
      expectOlderContent(ledger);
      ledger.putRanking(ranking); // the same again, in the new form, is still the same
      ledger.answers.put(`k${time}`, answer);
    }
    const fresh = join(temporaryFolder(), 'fresh.db');
    openLedger(fresh).close();
    expect(tablesOf(path)).toEqual(tablesOf(fresh));
    using database = closing(new Database(path, { readonly: true }));
    expect(database.value.pragma('user_version', { simple: true })).toBe(LEDGER_FORMAT_VERSION);
  },
);

test.each([1, 2] as const)('a ledger of version %i can be read as it is, and is not changed by it', (version) => {
  const path = olderFile(version);
  const before = readFileSync(path);
  using reader = openLedger(path, { access: 'read' });
  expectOlderContent(reader);
  expect([reader.answers.get('k'), reader.answers.all('k'), reader.answers.spent('judge').calls]).toEqual([
    null,
    [],
    0,
  ]);
  expect(readFileSync(path).equals(before)).toBe(true);
});

test('a ledger of version 4, which had no soft labels, can be read and gone on with', () => {
  const path = olderFile(4);
  const database = new Database(path);
  database.exec(`INSERT INTO pairs (pairId, iteration, promptId, chosen, rejected, chosenFrom, rejectedFrom)
    VALUES ('old', 1, 'p', 'a', 'b', '{"kind":"chosen","sampleIndex":null}', '{"kind":"rejected","sampleIndex":null}')`);
  database.close();
  using reader = openLedger(path, { access: 'read' });
  expect(reader.pairs(1).map(({ pairId, label }) => [pairId, label])).toEqual([['old', null]]);
  reader.close();
  using ledger = openLedger(path);
  const soft = { probability: 0.75, weight: 2 };
  ledger.putPairs([{ ...pair, label: soft }]);
  expect(ledger.pairs(1).map(({ label }) => label)).toEqual([null, soft]);
});

test('a ledger of version 3, which had no answers to benchmarks, can be read and gone on with', () => {
  const path = olderFile(3);
  using reader = openLedger(path, { access: 'read' });
  expect([reader.rankings(1), reader.benchmarkAnswer('k')]).toEqual([[ranking], null]);
  reader.close();
  using ledger = openLedger(path);
  ledger.putBenchmarkAnswers([{ key: 'k', answer: '{}' }]);
  expect([ledger.rankings(1), ledger.benchmarkAnswer('k')]).toEqual([[ranking], '{}']);
});

test('a stage is none, running, finished, and running again when it is begun again', () => {
  const ledger = newLedger({ clock: () => 0 });
  expect(ledger.stages.status(1, 'sample')).toBe('none');
  expect(ledger.stages.begin(1, 'sample')).toBe(1);
  expect(ledger.stages.status(1, 'sample')).toBe('running');
  ledger.stages.finish(1, 'sample');
  ledger.stages.finish(1, 'sample');
  expect(ledger.stages.status(1, 'sample')).toBe('finished');
  expect(ledger.stages.status(2, 'sample')).toBe('none');
  expect(ledger.stages.begin(1, 'sample')).toBe(2);
  expect(ledger.stages.status(1, 'sample')).toBe('running');
  expect(() => ledger.stages.finish(1, 'rank')).toThrow(expect.objectContaining({ code: 'STAGE_NOT_BEGUN' }));
});

/** `step:loss@attempt` of each visible row. */
function seen(ledger: Ledger, attempts: 'current' | 'all' = 'current'): string[] {
  return ledger.metrics({ attempts }).map(({ step, values, attempt }) => `${step}:${values.loss}@${attempt}`);
}

test('metrics() hides what an earlier attempt measured beyond the step that a later one went on from', () => {
  const ledger = newLedger();
  const put = (step: number, loss: number) =>
    ledger.putMetric({ iteration: 1, stage: 'train', step, values: { loss } });
  ledger.stages.begin(1, 'train', { resumeStep: 0 });
  for (const step of [1, 2, 3, 4]) put(step, step);
  ledger.stages.begin(1, 'train', { resumeStep: 2 });
  expect(seen(ledger)).toEqual(['1:1@1', '2:2@1']);
  put(3, 30);
  expect(seen(ledger)).toEqual(['1:1@1', '2:2@1', '3:30@2']);
  expect(seen(ledger, 'all')).toEqual(['1:1@1', '2:2@1', '3:3@1', '3:30@2', '4:4@1']);
  ledger.stages.begin(1, 'train', { resumeStep: 1 });
  expect(seen(ledger)).toEqual(['1:1@1']);
  // Another stage and another iteration are not touched by any of this.
  ledger.stages.begin(2, 'train', { resumeStep: 0 });
  expect(seen(ledger)).toEqual(['1:1@1']);
});

test('metrics() replaces a step that is measured again, in one attempt or in a later one', () => {
  const ledger = newLedger();
  const put = (values: Record<string, number>) => ledger.putMetric({ iteration: 1, stage: 'train', step: 5, values });
  put({ loss: 1, old: 1 });
  put({ loss: 2 });
  expect(ledger.metrics()).toEqual([{ iteration: 1, stage: 'train', step: 5, attempt: 1, values: { loss: 2 } }]);
  ledger.stages.begin(1, 'train');
  ledger.stages.begin(1, 'train');
  put({ loss: 3 });
  expect(ledger.metrics()).toEqual([{ iteration: 1, stage: 'train', step: 5, attempt: 2, values: { loss: 3 } }]);
});

test('metrics() keeps numbers that are not finite, and any name', () => {
  const ledger = newLedger();
  const values = {
    nan: Number.NaN,
    up: Number.POSITIVE_INFINITY,
    down: Number.NEGATIVE_INFINITY,
    'rewards/chosen': 0.1,
    tiny: 5e-324,
  };
  ledger.putMetric({ iteration: 1, stage: 'train', step: 1, values });
  expect(ledger.metrics()[0]?.values).toEqual(values);
});

test('metrics() are in order of iteration, stage and step', () => {
  const ledger = newLedger();
  for (const [iteration, stage, step] of [
    [2, 'train', 1],
    [1, 'train', 10],
    [1, 'train', 9],
    [1, 'evaluate', 3],
  ] as const) {
    ledger.putMetric({ iteration, stage, step, values: { a: 1, b: 2 } });
  }
  expect(ledger.metrics().map(({ iteration, stage, step }) => `${iteration} ${stage} ${step}`)).toEqual([
    '1 evaluate 3',
    '1 train 9',
    '1 train 10',
    '2 train 1',
  ]);
});

test('a stage that waits or failed says so, and why, until it is begun again', () => {
  const ledger = newLedger({ clock: () => 0 });
  ledger.stages.begin(1, 'sample');
  ledger.stages.finish(1, 'sample', { seconds: 2 });
  ledger.stages.begin(1, 'rank');
  ledger.stages.suspend(1, 'rank');
  expect(ledger.stages.status(1, 'rank')).toBe('waiting');
  ledger.stages.begin(1, 'rank');
  ledger.stages.failRunning({ code: 'RANKER_THREW', message: 'the reward is down' });
  const statuses = (): unknown =>
    ledger.stages.all().map(({ stage, status, seconds, error }) => [stage, status, seconds, error?.code]);
  expect(statuses()).toEqual([
    ['rank', 'failed', null, 'RANKER_THREW'],
    ['sample', 'finished', 2, undefined],
  ]);
  ledger.stages.begin(1, 'rank');
  expect(statuses()).toEqual([
    ['rank', 'running', null, undefined],
    ['sample', 'finished', 2, undefined],
  ]);
});

const row = (promptId: string): PreferenceRow => ({
  promptId,
  prompt: { kind: 'text', text: `Tell of ${promptId}.` },
  chosen: 'a',
  rejected: 'b',
  source: { file: 'rows.jsonl', line: 1 },
});

test('slice() gives the rows of an iteration in their order, and a row may be seen by several iterations', () => {
  const ledger = newLedger();
  ledger.putSlice(1, [row('p2'), row('p1')]);
  ledger.putSlice(1, [row('p2'), row('p1')]);
  ledger.putSlice(2, [row('p1')]);
  expect([1, 2, 3].map((iteration) => ledger.slice(iteration))).toEqual([[row('p2'), row('p1')], [row('p1')], []]);
  expect([ledger.row('p1'), ledger.row('p9')]).toEqual([row('p1'), null]);
  expect(() => ledger.putSlice(2, [row('p2')])).toThrow(expect.objectContaining({ code: 'LEDGER_CONFLICT' }));
});

test('heldOutResponses() gives what this model answered under these settings, and nothing else', () => {
  const ledger = newLedger();
  const of = (samplerSha256: string, settings: string) => ({ ...heldOut, samplerSha256, settings });
  for (const each of [of('m', 's'), of('m', 's'), of('n', 's'), of('m', 't')]) ledger.putHeldOutResponses([each]);
  expect(ledger.heldOutResponses({ samplerSha256: 'm', settings: 's' })).toEqual([of('m', 's')]);
});

test('record() gives back the latest of a kind, with not-a-number where it was', () => {
  const ledger = newLedger();
  expect(ledger.record(0, 'rankers')).toBeNull();
  ledger.putRecord(0, 'rankers', { first: 'a', second: null });
  ledger.putRecord(0, 'rankers', { first: 'b', second: 'c' });
  expect(ledger.record(0, 'rankers')).toEqual({ first: 'b', second: 'c' });
  const data: Evaluation['data'] = {
    promptIds: ['p'],
    rewards: [Number.NaN],
    lengths: [3],
    textHealth: null,
    finishedShare: 1,
    diversity: { distinct: [1, 1, Number.NaN], selfBleu: null },
    klToBase: null,
    klToPrevious: null,
    marginsOverPrevious: null,
    greedy: null,
  };
  const evaluation = { name: 'base', rewardName: 'score', data, answers: [{ promptId: 'p', prompt: 'a', text: 'b' }] };
  ledger.putRecord(2, 'evaluation', evaluation);
  expect(ledger.records('evaluation')).toEqual([{ iteration: 2, record: evaluation }]);
});

test('cuts() adds up what the rankers of a stage cut, each prompt once', () => {
  const ledger = newLedger();
  for (let time = 0; time < 2; time++) ledger.putCut(1, 'rank', { promptId: 'a', prompt: true, responses: 2 });
  ledger.putCut(1, 'rank', { promptId: 'b', prompt: false, responses: 1 });
  expect([ledger.cuts(1, 'rank'), ledger.cuts(1, 'label')]).toEqual([
    { prompts: 1, responses: 3 },
    { prompts: 0, responses: 0 },
  ]);
});

const methods: [string, (ledger: Ledger) => unknown, 'reads' | 'writes'][] = [
  ['stages.begin', (ledger) => ledger.stages.begin(9, 'x'), 'writes'],
  ['stages.finish', (ledger) => ledger.stages.finish(1, 'begun'), 'writes'],
  ['stages.status', (ledger) => ledger.stages.status(1, 'x'), 'reads'],
  ['putResponses', (ledger) => ledger.putResponses([response]), 'writes'],
  ['responses', (ledger) => ledger.responses(1), 'reads'],
  ['putRanking', (ledger) => ledger.putRanking(ranking), 'writes'],
  ['rankings', (ledger) => ledger.rankings(1), 'reads'],
  ['putPairs', (ledger) => ledger.putPairs([pair]), 'writes'],
  ['pairs', (ledger) => ledger.pairs(1), 'reads'],
  ['pairLineage', (ledger) => ledger.pairLineage('x'), 'reads'],
  ['getReferenceLogProb', (ledger) => ledger.getReferenceLogProb('x'), 'reads'],
  ['putReferenceLogProbs', (ledger) => ledger.putReferenceLogProbs([{ key: 'x', logProb: 1 }]), 'writes'],
  ['putMetric', (ledger) => ledger.putMetric({ iteration: 1, stage: 'x', step: 1, values: {} }), 'writes'],
  ['metrics', (ledger) => ledger.metrics(), 'reads'],
  ['answers.put', (ledger) => ledger.answers.put('k', answer), 'writes'],
  ['answers.get', (ledger) => ledger.answers.get('k'), 'reads'],
  ['answers.all', (ledger) => ledger.answers.all('k'), 'reads'],
  ['answers.spent', (ledger) => ledger.answers.spent('judge'), 'reads'],
  ['stages.suspend', (ledger) => ledger.stages.suspend(1, 'begun'), 'writes'],
  ['stages.failRunning', (ledger) => ledger.stages.failRunning({ code: 'X', message: 'x' }), 'writes'],
  ['stages.all', (ledger) => ledger.stages.all(), 'reads'],
  ['stages.attempt', (ledger) => ledger.stages.attempt(1, 'begun'), 'reads'],
  ['renameRanker', (ledger) => ledger.renameRanker('a', 'b'), 'writes'],
  ['takeBack', (ledger) => ledger.takeBack(1, { stages: ['begun'], tables: ['pairs'] }), 'writes'],
  ['putSlice', (ledger) => ledger.putSlice(1, [row('p')]), 'writes'],
  ['slice', (ledger) => ledger.slice(1), 'reads'],
  ['row', (ledger) => ledger.row('p'), 'reads'],
  ['putCut', (ledger) => ledger.putCut(1, 'rank', { promptId: 'p', prompt: true, responses: 0 }), 'writes'],
  ['cuts', (ledger) => ledger.cuts(1, 'rank'), 'reads'],
  ['putHeldOutResponses', (ledger) => ledger.putHeldOutResponses([heldOut]), 'writes'],
  ['heldOutResponses', (ledger) => ledger.heldOutResponses(heldOut), 'reads'],
  ['putBenchmarkAnswers', (ledger) => ledger.putBenchmarkAnswers([{ key: 'k', answer: '{}' }]), 'writes'],
  ['benchmarkAnswer', (ledger) => ledger.benchmarkAnswer('k'), 'reads'],
  ['putRecord', (ledger) => ledger.putRecord(1, 'rankers', { first: 'a', second: null }), 'writes'],
  ['record', (ledger) => ledger.record(1, 'rankers'), 'reads'],
  ['records', (ledger) => ledger.records('rankers'), 'reads'],
];

test.each(methods)(
  '%s() works when open, and is refused when closed and, if it writes, when open for reading',
  (_, call, kind) => {
    const ledger = newLedger();
    ledger.stages.begin(1, 'begun');
    call(ledger);
    using reader = openLedger(ledger.path, { access: 'read' });
    if (kind === 'reads') call(reader);
    else expect(() => call(reader)).toThrow(expect.objectContaining({ name: 'RunError', code: 'LEDGER_READ_ONLY' }));
    ledger.close();
    ledger.close();
    expect(() => call(ledger)).toThrow(expect.objectContaining({ name: 'RunError', code: 'LEDGER_CLOSED' }));
  },
);

test('the matrix of states covers every method of the ledger', () => {
  const ledger = newLedger();
  const methodsOf = (part: object): string[] =>
    Object.getOwnPropertyNames(Object.getPrototypeOf(part)).filter((name) => !['constructor', 'close'].includes(name));
  const names = [
    ...methodsOf(ledger),
    ...methodsOf(ledger.stages).map((name) => `stages.${name}`),
    ...methodsOf(ledger.answers).map((name) => `answers.${name}`),
  ];
  expect(names.sort()).toEqual(methods.map(([name]) => name).sort());
});

test('a reader sees what a writer has put while the writer is open', () => {
  const ledger = newLedger();
  using reader = openLedger(ledger.path, { access: 'read' });
  ledger.putResponses([response]);
  expect(reader.responses(1)).toEqual([response]);
});

test('openLedger() refuses a newer format, a database of others and a file that is none, and changes none of them', () => {
  const folder = temporaryFolder();
  const newer = join(folder, 'newer.db');
  openLedger(newer).close();
  const database = new Database(newer);
  database.pragma(`user_version = ${LEDGER_FORMAT_VERSION + 1}`);
  database.close();
  const foreign = join(folder, 'foreign.db');
  new Database(foreign).exec('CREATE TABLE a (b)').close();
  const text = join(folder, 'text.db');
  writeFileSync(text, 'not a database at all, but long enough to have a header of sixteen bytes');
  for (const [path, code] of [
    [newer, 'FORMAT_NEWER'],
    [foreign, 'LEDGER_FOREIGN'],
    [text, 'LEDGER_DAMAGED'],
  ] as const) {
    const before = readFileSync(path);
    for (const access of ['write', 'read'] as const) {
      expect(() => openLedger(path, { access }), path).toThrow(expect.objectContaining({ name: 'RunError', code }));
    }
    expect(readFileSync(path).equals(before), path).toBe(true);
  }
});

test('openLedger() for reading never creates a file', () => {
  const path = join(temporaryFolder(), 'run.db');
  expect(() => openLedger(path, { access: 'read' })).toThrow(expect.objectContaining({ code: 'LEDGER_MISSING' }));
  expect(existsSync(path)).toBe(false);
  writeFileSync(path, '');
  expect(() => openLedger(path, { access: 'read' })).toThrow(expect.objectContaining({ code: 'LEDGER_FOREIGN' }));
});

test('openLedger() of a file cut in the middle is a RunError, not a crash and not half a ledger', () => {
  const ledger = newLedger();
  for (let i = 0; i < 50; i++) ledger.putResponses([{ ...response, sampleIndex: i, text: 'x'.repeat(1000) }]);
  ledger.close();
  const size = statSync(ledger.path).size;
  const torn = join(temporaryFolder(), 'run.db');
  for (let bytes = 100; bytes < size; bytes += 2999) {
    copyFileSync(ledger.path, torn);
    truncateSync(torn, bytes);
    expect(() => openLedger(torn), `${bytes} bytes`).toThrow(expect.objectContaining({ name: 'RunError' }));
  }
});

test('a journal torn anywhere inside the last record opens with that record or without it, and with all before it', () => {
  const ledger = newLedger();
  for (let i = 0; i < 5; i++) ledger.putResponses([{ ...response, sampleIndex: i }]);
  const before = statSync(`${ledger.path}-wal`).size;
  ledger.putResponses([{ ...response, sampleIndex: 5 }]);
  const after = statSync(`${ledger.path}-wal`).size;
  const folder = temporaryFolder();
  const outcomes = new Set<number>();
  // Steps of 61 bytes hit headers and pages of every frame; each offset would take a minute.
  for (let bytes = before; bytes <= after; bytes = bytes === after ? after + 1 : Math.min(after, bytes + 61)) {
    const copy = join(folder, `${bytes}.db`);
    copyFileSync(ledger.path, copy);
    copyFileSync(`${ledger.path}-wal`, `${copy}-wal`);
    truncateSync(`${copy}-wal`, bytes);
    using opened = openLedger(copy);
    outcomes.add(opened.responses(1).length);
  }
  expect(outcomes).toEqual(new Set([5, 6]));
});

test('openLedger() in a folder that does not exist says so', () => {
  expect(() => openLedger(join(temporaryFolder(), 'missing/run.db'))).toThrow(/directory does not exist/);
});

test('translate() turns a full disk into DISK_FULL and leaves our own mistakes as they are', () => {
  const full = Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' });
  expect(translate(full, '/runs/a/run.db')).toMatchObject({ name: 'FileError', code: 'DISK_FULL' });
  const mistake = new TypeError('mistake');
  expect(translate(mistake, 'x')).toBe(mistake);
  expect(translate('text', 'x')).toEqual(new Error('text'));
});

test('a value of the wrong kind is refused and nothing is written', () => {
  const ledger = newLedger();
  expect(() => ledger.putResponses([{ ...response, logProb: Number.NaN }])).toThrow(
    expect.objectContaining({ name: 'RunError' }),
  );
  expect(() => ledger.putResponses([{ ...response, iteration: 1.5 }])).toThrow(
    expect.objectContaining({ name: 'RunError', code: 'LEDGER_FAILED' }),
  );
  expect(ledger.responses(1)).toEqual([]);
});
