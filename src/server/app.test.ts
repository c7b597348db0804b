/** @file The studio's interface as a page uses it: over a real socket, on a run that lies on disk. */
import { cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { shorterPath } from '../files/command-line.ts';
import { Database } from '../files/sqlite.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import {
  type Answer,
  ask,
  peopleFolder,
  QuestionLog,
  questionOf,
  readQuestions,
  say,
} from '../rank/people/questions.ts';
import { openEventLog } from '../store/event-log.ts';
import { openLedger } from '../store/ledger.ts';
import type {
  Annotators,
  Curves,
  OpenQuestions,
  PairDetail,
  PairPage,
  PromptPage,
  PromptSamples,
  RunDetail,
  RunSummary,
} from './api.ts';
import { createStudio } from './app.ts';
import { type Studio, serveStudio } from './listen.ts';
import { OpenRuns } from './open-runs.ts';
import { writeStudioRun } from './studio-run.testing.ts';
import { invitationOf, type Visitor } from './token.ts';

const token = 'a-token-for-tests-only';

async function serve(folder: string, port = 0): Promise<Studio> {
  const studio = await serveStudio({ folders: [folder], port, token, assets: new Map() });
  onTestFinished(() => studio.close());
  return studio;
}

async function get(studio: Studio, path: string): Promise<Response> {
  return fetch(`http://127.0.0.1:${studio.port}${path}`, { headers: { authorization: `Bearer ${token}` } });
}

async function json<Value>(studio: Studio, path: string): Promise<Value> {
  const response = await get(studio, path);
  expect(response.status, await response.clone().text()).toBe(200);
  return (await response.json()) as Value;
}

async function summaries(studio: Studio): Promise<RunSummary[]> {
  return (await json<{ runs: RunSummary[] }>(studio, '/api/runs')).runs;
}

/** The events of a stream, until `enough` of them came. */
async function events(
  studio: Studio,
  path: string,
  { enough, headers = {} }: { enough: number; headers?: Record<string, string> },
): Promise<{ event: string; id: string | null; data: Record<string, unknown> }[]> {
  const leaving = new AbortController();
  const response = await fetch(`http://127.0.0.1:${studio.port}${path}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    signal: leaving.signal,
  });
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  let text = '';
  const decoder = new TextDecoder();
  for await (const piece of response.body ?? []) {
    text += decoder.decode(piece, { stream: true });
    if (text.split('\n\n').length > enough) break;
  }
  leaving.abort();
  return text
    .split('\n\n')
    .slice(0, enough)
    .map((part) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(part)?.[1] ?? null;
      return { event: field('event') ?? '', id: field('id'), data: JSON.parse(field('data') ?? 'null') };
    });
}

test('lists the runs of a folder with what they are, twins inside them too', async () => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'first'));
  writeStudioRun(join(folder, 'first', 'twin'));
  mkdirSync(join(folder, 'no run'));
  const runs = await summaries(await serve(folder));
  expect(runs.map(({ id, standing }) => [id, standing])).toEqual([
    ['first', 'finished'],
    ['first/twin', 'finished'],
  ]);
  const model = shorterPath(join(folder, 'first', 'iteration-2', 'model'));
  expect(runs[0]?.next.command).toBe(`selm generate ${model} --prompt Hello`);
});

test('a folder that is a run itself is shown under its name', async () => {
  const folder = writeStudioRun(join(temporaryFolder(), 'mine'));
  expect((await summaries(await serve(folder))).map(({ id }) => id)).toEqual(['mine']);
});

test('the page of a run has its settings, stages, counts, and what was measured', async () => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'first'), { title: 'Kind stories' });
  const detail = await json<RunDetail>(await serve(folder), '/api/runs/first');
  expect(detail.settings).toContainEqual({ label: 'evaluate.title', value: 'Kind stories' });
  expect(detail.stages).toHaveLength(8);
  expect(detail.pairCounts).toEqual([
    { iteration: 1, pairs: 3 },
    { iteration: 2, pairs: 3 },
  ]);
  expect(detail.metrics).toEqual({ steps: ['loss', 'lr'], iterations: ['length, samples'] });
});

test('curves go over the steps of all iterations, counted from 1', async () => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'first'));
  const studio = await serve(folder);
  const curves = await json<Curves>(studio, '/api/runs/first/curves?names=loss,nothing');
  expect(curves.starts).toEqual([
    { iteration: 1, before: 0 },
    { iteration: 2, before: 4 },
  ]);
  expect(curves.steps).toEqual([
    { name: 'loss', x: [1, 2, 3, 4, 5, 6, 7, 8], y: [1, 0.5, 0.3333333, 0.25, 1, 0.5, 0.3333333, 0.25] },
    { name: 'nothing', x: [], y: [] },
  ]);
});

test.each([
  { query: 'iteration=2', ids: ['pair-2-0', 'pair-2-1', 'pair-2-2'], total: 3 },
  { query: 'search=good%201.2', ids: ['pair-1-2'], total: 1 },
  { query: 'search=PROMPT+1', ids: ['pair-1-1', 'pair-2-1'], total: 2 },
  { query: 'search=%25', ids: [], total: 0 },
  { query: 'order=widest&limit=2', ids: ['pair-1-2', 'pair-2-2'], total: 6 },
  { query: 'order=narrowest&limit=1&offset=1', ids: ['pair-2-0'], total: 6 },
  { query: 'chosenFrom=rejected', ids: [], total: 0 },
])('pairs are filtered, searched and paged: $query', async ({ query, ids, total }) => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'first'));
  const page = await json<PairPage>(await serve(folder), `/api/runs/first/pairs?${query}`);
  expect({ ids: page.pairs.map(({ pairId }) => pairId), total: page.total }).toEqual({ ids, total });
});

test('a pair has its whole lineage', async () => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'first'));
  const pair = await json<PairDetail>(await serve(folder), '/api/runs/first/pairs/pair-1-2');
  expect(pair).toMatchObject({
    prompt: 'prompt 2 a text',
    sampler: { sha256: 'sha-1', seed: 1 },
    source: { file: 'rows.jsonl', line: 3 },
    rankings: [{ rankerId: 'function:reward.ts', scores: [3, 0], order: [0, 1] }],
    responses: [
      { sampleIndex: 0, tokens: 3, finish: 'stop' },
      { sampleIndex: 1, tokens: 3, finish: 'stop' },
    ],
  });
});

test('the answers to a prompt are there from iteration to iteration, with their scores', async () => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'first'));
  const studio = await serve(folder);
  const page = await json<PromptPage>(studio, '/api/runs/first/prompts?source=training&search=prompt+1');
  expect(page.prompts).toEqual([{ promptId: 'prompt-1', prompt: 'prompt 1 a text', iterations: [1, 2] }]);
  const found = await json<PromptSamples>(studio, '/api/runs/first/samples?source=training&promptId=prompt-1');
  expect(found.iterations.map(({ iteration, samples }) => [iteration, samples.map(({ score }) => score)])).toEqual([
    [1, [2, 0]],
    [2, [2, 0]],
  ]);
});

test('held-out prompts are found by text, and their answers from the base on', async () => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'first'), {
    measured: [
      [0.1, 0.2],
      [0.3, 0.4],
    ],
  });
  const studio = await serve(folder);
  const page = await json<PromptPage>(studio, '/api/runs/first/prompts?source=held-out&search=OUT-1');
  expect(page).toMatchObject({ total: 1, prompts: [{ promptId: 'held-out-1', iterations: [0, 1] }] });
  const found = await json<PromptSamples>(studio, '/api/runs/first/samples?source=held-out&promptId=held-out-1');
  expect(found.iterations.map(({ iteration, samples }) => [iteration, samples])).toEqual([
    [0, [{ text: 'an answer', score: 0.2 }]],
    [1, [{ text: 'an answer', score: 0.4 }]],
  ]);
});

test('a page follows a run: what is behind its last id comes again, then what is new, and the summary', async () => {
  const folder = temporaryFolder();
  const run = writeStudioRun(join(folder, 'first'));
  const studio = await serve(folder);
  using log = openEventLog(run);
  const announce = log.through(() => {}, { iteration: 1 });
  announce({ kind: 'note', text: 'one' });
  announce({ kind: 'note', text: 'two' });
  const first = await events(studio, '/api/runs/first/events', { enough: 3 });
  expect(first.map(({ data }) => data.text ?? data.kind)).toEqual(['opened', 'one', 'two']);
  announce({ kind: 'note', text: 'three' });
  const again = await events(studio, '/api/runs/first/events', {
    enough: 3,
    headers: { 'last-event-id': first[1]?.id ?? '' },
  });
  expect(again.map(({ event, data }) => data.text ?? event)).toEqual(['two', 'three', 'summary']);
});

test('a page whose id is of an earlier run of that name is told to begin anew', async () => {
  const folder = temporaryFolder();
  openEventLog(writeStudioRun(join(folder, 'first'))).close();
  const studio = await serve(folder);
  const [only] = await events(studio, '/api/runs/first/events?after=999999', { enough: 1 });
  expect(only?.event).toBe('reset');
});

test('a server that died comes back under the same token, and a page goes on behind what it saw', async () => {
  const folder = temporaryFolder();
  const run = writeStudioRun(join(folder, 'first'));
  const studio = await serve(folder);
  using log = openEventLog(run);
  const announce = log.through(() => {}, { iteration: 1 });
  const [opened] = await events(studio, '/api/runs/first/events', { enough: 1 });
  await studio.close();
  announce({ kind: 'note', text: 'while nobody looked' });
  const again = await serve(folder, studio.port);
  const [missed] = await events(again, '/api/runs/first/events', {
    enough: 1,
    headers: { 'last-event-id': opened?.id ?? '' },
  });
  expect(missed?.data.text).toBe('while nobody looked');
});

test('a run whose process is gone without a word has died; one that was stopped says so', async () => {
  const folder = temporaryFolder();
  for (const name of ['died', 'stopped']) {
    const run = writeStudioRun(join(folder, name));
    using ledger = openLedger(join(run, 'run.db'));
    ledger.stages.begin(2, 'train');
    using log = openEventLog(run);
    if (name === 'stopped') await log.during(async () => {}).catch(() => {});
  }
  const standings = (await summaries(await serve(folder))).map(({ id, standing }) => [id, standing]);
  expect(standings).toEqual([
    ['died', 'died'],
    ['stopped', 'stopped'],
  ]);
});

test('a run that failed is shown with its error', async () => {
  const folder = temporaryFolder();
  const run = writeStudioRun(join(folder, 'first'));
  {
    using ledger = openLedger(join(run, 'run.db'));
    ledger.stages.begin(2, 'train');
    ledger.stages.failRunning({ code: 'LOSS_NOT_FINITE', message: 'the loss is not a number' });
  }
  const [only] = await summaries(await serve(folder));
  expect([only?.standing, only?.error?.code]).toEqual(['failed', 'LOSS_NOT_FINITE']);
});

test.each([
  {
    how: 'of a newer format',
    spoil: (run: string) => {
      const database = new Database(join(run, 'run.db'));
      database.pragma('user_version = 999');
      database.close();
    },
    code: 'FORMAT_NEWER',
  },
  {
    how: 'damaged',
    spoil: (run: string) => writeFileSync(join(run, 'run.db'), 'x'.repeat(5000)),
    code: 'LEDGER_DAMAGED',
  },
  {
    how: 'without a sound config',
    spoil: (run: string) => writeFileSync(join(run, 'config.yaml'), '- 1'),
    code: 'RUN_DAMAGED',
  },
])('a run $how is listed with the reason, and spoils no other', async ({ spoil, code }) => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'good'));
  spoil(writeStudioRun(join(folder, 'spoilt')));
  const runs = await summaries(await serve(folder));
  expect(runs.map(({ standing }) => standing)).toEqual(['finished', 'unreadable']);
  expect(runs[1]?.error?.code).toBe(code);
});

test('a run that was replaced by another of its name is read anew', async () => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'first'), { pairs: 1 });
  const studio = await serve(folder);
  expect((await json<PairPage>(studio, '/api/runs/first/pairs')).total).toBe(2);
  rmSync(join(folder, 'first'), { recursive: true });
  cpSync(writeStudioRun(join(temporaryFolder(), 'other'), { pairs: 5 }), join(folder, 'first'), { recursive: true });
  expect((await json<PairPage>(studio, '/api/runs/first/pairs')).total).toBe(10);
  renameSync(join(folder, 'first'), join(folder, 'second'));
  expect((await get(studio, '/api/runs/first/pairs')).status).toBe(404);
});

test('a run in progress is read and not touched: no lock is taken, no byte of it changes', async () => {
  const folder = temporaryFolder();
  const run = writeStudioRun(join(folder, 'first'));
  using ledger = openLedger(join(run, 'run.db'));
  const studio = await serve(folder);
  await json<RunDetail>(studio, '/api/runs/first');
  ledger.putMetric({ iteration: 2, stage: 'train', step: 4, values: { loss: 0.1 } });
  const curves = await json<Curves>(studio, '/api/runs/first/curves?names=loss');
  expect(curves.steps[0]?.y.at(-1)).toBe(0.1);
});

test('the report is the one of `selm report`, under its own policy', async () => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'first'), { title: 'A <b>title</b>' });
  const response = await get(await serve(folder), '/api/runs/first/report');
  expect(await response.text()).toContain('A &lt;b&gt;title&lt;/b&gt;');
  expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/);
});

test('runs beside each other are the page of `selm compare`, under its own policy; one alone is refused', async () => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'first'), {
    measured: [
      [1, 2, 3],
      [2, 3, 4],
    ],
  });
  writeStudioRun(join(folder, 'second'), {
    measured: [
      [1, 2, 3],
      [4, 5, 6],
    ],
  });
  const studio = await serve(folder);
  const response = await get(studio, '/api/comparison?runs=first,second');
  const page = await response.text();
  expect(page).toContain('Comparison of first, second');
  expect(page).toContain('Differences');
  expect(page).toContain('second');
  expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/);
  const alone = await get(studio, '/api/comparison?runs=first,first');
  expect(alone.status).toBe(400);
  expect(await alone.text()).toContain('two or more runs');
  expect((await get(studio, '/api/comparison?runs=first,gone')).status).toBe(404);
});

test('a busy port, a folder that is not there and a weak token are refused with what to do', async () => {
  const folder = temporaryFolder();
  const { port } = await serve(folder);
  const again = (changes: object) => serveStudio({ folders: [folder], port, token, assets: new Map(), ...changes });
  await expect(again({})).rejects.toMatchObject({
    code: 'STUDIO_PORT_BUSY',
    message: expect.stringContaining('--port 0'),
  });
  await expect(again({ folders: [join(folder, 'nowhere')] })).rejects.toMatchObject({ code: 'STUDIO_FOLDER' });
  await expect(again({ token: 'short' })).rejects.toMatchObject({ code: 'STUDIO_TOKEN' });
});

/** A run that asks people this many questions, served, and what somebody with an invitation gets and says. */
async function asking(questions: number): Promise<{ studio: Studio; people: string }> {
  const folder = temporaryFolder();
  const people = peopleFolder(writeStudioRun(join(folder, 'mine'), { ranker: 'people' }));
  ask(
    people,
    Array.from({ length: questions }, (_, n) =>
      questionOf({ promptId: `p${n}`, prompt: `prompt ${n}`, reason: 'drawn at random' }, [`a${n}`, `b${n}`]),
    ),
  );
  return { studio: await serve(folder), people };
}

async function as(studio: Studio, visitor: Visitor, path: string, body?: unknown): Promise<Response> {
  return fetch(`http://127.0.0.1:${studio.port}${path}`, {
    headers: { authorization: `Bearer ${invitationOf(visitor, token)}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
}

const ada = { name: 'ada', right: 'label' } as const;
const ben = { name: 'ben', right: 'label' } as const;

test('who was invited to label sees questions, and nothing else of any run', async () => {
  const { studio } = await asking(2);
  const status = async (path: string): Promise<number> => (await as(studio, ada, path)).status;
  expect(await (await as(studio, ada, '/api/me')).json()).toEqual(ada);
  expect(await (await as(studio, ada, '/api/tasks')).json()).toEqual({ tasks: [{ id: 'mine', open: 2, answered: 0 }] });
  expect(await status('/api/runs/mine/questions')).toBe(200);
  for (const path of ['', '/pairs', '/curves?names=loss', '/prompts?source=training', '/report', '/events'])
    expect(await status(`/api/runs/mine${path}`), path).toBe(403);
  for (const path of ['/api/runs', '/api/events', '/api/invitations?name=x&right=admin', '/api/nothing'])
    expect(await status(path), path).toBe(403);
  expect((await as(studio, { ...ada, right: 'review' }, '/api/runs/mine/pairs')).status).toBe(200);
  expect((await as(studio, { ...ada, right: 'review' }, '/api/invitations?name=x&right=admin')).status).toBe(403);
});

test('the owner makes invitations, which open the door as their name and with their right alone', async () => {
  const { studio } = await asking(1);
  const { address } = await json<{ address: string }>(studio, '/api/invitations?name=ada&right=label');
  const door = await fetch(address, { redirect: 'manual' });
  const cookie = (door.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  const me = await fetch(`http://127.0.0.1:${studio.port}/api/me`, { headers: { cookie } });
  expect(await me.json()).toEqual(ada);
  for (const forged of [address.replace('label', 'admin'), address.replace('ada', 'eve'), `${address}x`])
    expect((await fetch(forged, { redirect: 'manual' })).status).toBe(401);
  const altered = cookie.replace('label', 'admin');
  expect((await fetch(`http://127.0.0.1:${studio.port}/api/me`, { headers: { cookie: altered } })).status).toBe(401);
  for (const name of ['owner', '', 'Ada', 'a b', '../x'])
    expect((await get(studio, `/api/invitations?right=label&name=${encodeURIComponent(name)}`)).status).toBe(400);
});

test('two annotators at once get different questions, and each is answered once, under the name of who did', async () => {
  const { studio, people } = await asking(40);
  const work = async (who: Visitor): Promise<void> => {
    for (;;) {
      const response = await as(studio, who, '/api/runs/mine/questions');
      const [question] = ((await response.json()) as OpenQuestions).next;
      if (question === undefined) return;
      const answer = { question: question.id, choice: 'left', seconds: 1, key: `${who.name} ${question.id}` };
      expect((await as(studio, who, '/api/runs/mine/answers', answer)).status).toBe(200);
    }
  };
  await Promise.all([work(ada), work(ben)]);
  const { answers, answersTo } = readQuestions(people);
  expect(answersTo.size).toBe(40);
  expect([...answersTo.values()].every((each) => each.length === 1)).toBe(true);
  expect(new Set(answers.map(({ annotator }) => annotator))).toEqual(new Set(['ada', 'ben']));
  // The side is a coin of annotator and question.
  expect(new Set(answers.map(({ left }) => left)).size).toBe(2);
});

test('an answer is taken back by who gave it', async () => {
  const { studio, people } = await asking(1);
  const [question] = ((await (await as(studio, ada, '/api/runs/mine/questions')).json()) as OpenQuestions).next;
  const answer = { question: question?.id, choice: 'left', seconds: 1, key: 'key-of-ada' };
  await as(studio, ada, '/api/runs/mine/answers', answer);
  await as(studio, ben, '/api/runs/mine/answers', { ...answer, choice: 'undo', key: 'undo-of-ben' });
  expect(readQuestions(people).answers).toMatchObject([{ annotator: 'ada' }]);
  await as(studio, ada, '/api/runs/mine/answers', { ...answer, choice: 'undo', key: 'undo-of-ada' });
  expect(readQuestions(people).answers).toEqual([]);
});

test('the figures of annotators: sides, ties, times, ability, and agreement with each other and with other rankers', async () => {
  const folder = temporaryFolder();
  const people = peopleFolder(writeStudioRun(join(folder, 'mine'), { ranker: 'people' }));
  // The texts that the function ranker of the small run ordered: good over bad.
  const questions = [0, 1, 2].map((n) =>
    questionOf({ promptId: `prompt-${n}`, prompt: `prompt ${n}` }, [`good 1.${n} a text`, `bad 1.${n} a text`]),
  );
  ask(people, questions);
  const besides: Pick<Answer, 'strength' | 'tags' | 'isFlagged' | 'edit' | 'left' | 'seconds' | 'timeMs'> = {
    strength: 'some',
    tags: [],
    isFlagged: false,
    edit: null,
    left: 'first',
    seconds: 2,
    timeMs: 1,
  };
  // Texts of a question stand in their own order, bad before good: ada always says good, ben once a tie.
  for (const [n, { id: question }] of questions.entries()) {
    await say(new QuestionLog(people), {
      kind: 'answer',
      question,
      annotator: 'ada',
      choice: 'second',
      key: `ada ${n}`,
      ...besides,
    });
    const own = { ...besides, seconds: n, isFlagged: n === 2 };
    const choice = n === 2 ? 'tie' : 'second';
    await say(new QuestionLog(people), { kind: 'answer', question, annotator: 'ben', choice, key: `ben ${n}`, ...own });
  }
  const found = await json<Annotators>(await serve(folder), '/api/runs/mine/annotators');
  expect(found.annotators).toMatchObject([
    { name: 'ada', answers: 3, left: { value: 0 }, ties: 0, medianSeconds: 2 },
    { name: 'ben', answers: 3, left: { value: 0 }, ties: 1, medianSeconds: 1 },
  ]);
  expect(found.annotators[0]?.ability).toBeGreaterThan(0.9);
  expect(found.people).toMatchObject({ questions: 3, percent: { value: 2 / 3 } });
  expect(found.between).toMatchObject([{ names: ['ada', 'ben'], comparisons: 3, percent: { value: 2 / 3 } }]);
  const rankerId = 'function:reward.ts';
  expect(found.rankers).toMatchObject([
    { rankerId, annotator: null, comparisons: 6, percent: { value: expect.closeTo(5 / 6) } },
    { rankerId, annotator: 'ada', comparisons: 3, percent: { value: 1 } },
    { rankerId, annotator: 'ben', comparisons: 3, percent: { value: expect.closeTo(2 / 3) } },
  ]);
  expect(found.flagged).toMatchObject([{ annotator: 'ben', prompt: 'prompt 2' }]);
});

test('gold questions tell who fails, repeated ones who agrees with themselves; both look like any other, and count for nothing else', async () => {
  const folder = temporaryFolder();
  const people = peopleFolder(writeStudioRun(join(folder, 'mine'), { ranker: 'people' }));
  const plain = questionOf({ promptId: 'p', prompt: 'which?' }, ['a', 'b']);
  const gold = [0, 1, 2, 3].map((n) => ({
    ...questionOf({ promptId: `g${n}`, prompt: `gold ${n}` }, [`good ${n}`, `awful ${n}`]),
    gold: 'second' as const, // texts stand in alphabetical order
  }));
  ask(people, [plain, ...gold, { ...plain, id: 'again-of-plain', again: plain.id }]);
  const studio = await serve(folder);
  const { next } = await json<OpenQuestions>(studio, '/api/runs/mine/questions');
  // The repetition is for who answered the first one; nothing tells a gold question from another.
  expect(next.map(({ id }) => id)).toEqual([plain.id, ...gold.map(({ id }) => id)]);
  expect(new Set(next.flatMap((each) => Object.keys(each)))).toEqual(
    new Set(['id', 'prompt', 'turns', 'left', 'right', 'reason']),
  );
  const besides = {
    strength: 'some' as const,
    tags: [],
    isFlagged: false,
    edit: null,
    left: 'first' as const,
    seconds: 2,
  };
  const answers = [plain, ...gold].map(({ id }) => ({ question: id, choice: 'first' as const }));
  for (const [n, { question, choice }] of [
    ...answers,
    { question: 'again-of-plain', choice: 'second' as const },
  ].entries())
    await say(new QuestionLog(people), {
      kind: 'answer',
      annotator: 'owner',
      question,
      choice,
      key: `key ${n}`,
      timeMs: n,
      ...besides,
    });
  const found = await json<Annotators>(studio, '/api/runs/mine/annotators');
  expect(found.annotators).toMatchObject([
    {
      name: 'owner',
      answers: 1,
      gold: { answers: 4, right: { value: 0 }, fails: true },
      again: { questions: 1, same: { value: 0 } },
    },
  ]);
});

test('an invitation that is taken back opens nothing, what was answered stays, and restored it opens again', async () => {
  const { studio, people } = await asking(2);
  const [id] = readQuestions(people).asked.keys();
  const answer = { question: id, choice: 'left', seconds: 1, key: 'key-of-ada' };
  await as(studio, ada, '/api/runs/mine/answers', answer);
  const change = async (visitor: Visitor, action: string): Promise<Response> =>
    as(studio, visitor, '/api/invitations', { action, name: 'ada' });
  expect((await change(ben, 'revoke')).status).toBe(403);
  const admin = { name: 'cleo', right: 'admin' } as const;
  expect(await (await change(admin, 'revoke')).json()).toEqual({ revoked: ['ada'] });
  for (const path of ['/api/me', '/api/runs/mine/questions']) {
    const refused = await as(studio, ada, path);
    expect([refused.status, (await refused.json()) as unknown]).toMatchObject([401, { code: 'INVITATION_REVOKED' }]);
  }
  // The same name under another right, and a new start with the same token.
  expect((await as(studio, { name: 'ada', right: 'admin' }, '/api/runs')).status).toBe(401);
  expect((await as(studio, admin, '/api/invitations?name=ada&right=label')).status).toBe(422);
  const again = await serve(join(people, '..', '..'));
  expect((await as(again, ada, '/api/me')).status).toBe(401);
  expect((await as(again, ben, '/api/me')).status).toBe(200);
  expect(readQuestions(people).answers).toMatchObject([{ annotator: 'ada' }]);
  await change(admin, 'restore');
  expect((await as(studio, ada, '/api/me')).status).toBe(200);
});

test('an answer is kept whatever the clock does, in the order in which it came', async () => {
  const folder = temporaryFolder();
  const people = peopleFolder(writeStudioRun(join(folder, 'mine'), { ranker: 'people' }));
  const questions = [0, 1].map((n) => questionOf({ promptId: `p${n}`, prompt: 'prompt' }, [`a${n}`, `b${n}`]));
  ask(people, questions);
  const app = createStudio({
    runs: new OpenRuns([folder]),
    token,
    port: 4300,
    assets: new Map(),
    clock: () => times.shift() ?? 0,
  });
  const times = [Date.UTC(2050, 0), Date.UTC(2050, 0), -1, -1, 0, 0];
  const post = async (body: unknown): Promise<number> => {
    const text = JSON.stringify(body);
    const headers = {
      ...{ host: '127.0.0.1:4300', authorization: `Bearer ${token}` },
      ...{ 'content-type': 'application/json', 'content-length': String(text.length) },
    };
    const incoming = {
      method: 'POST',
      url: '/api/runs/mine/answers',
      headers,
      headersDistinct: { host: [headers.host] },
    };
    const request = new Request(`http://127.0.0.1:4300${incoming.url}`, { method: 'POST', headers, body: text });
    return (await app.fetch(request, { incoming } as never)).status;
  };
  const [first, second] = questions.map(({ id }) => id);
  const said = { choice: 'left', seconds: 1 };
  expect(await post({ ...said, question: first, key: 'from-the-future' })).toBe(200);
  expect(await post({ ...said, question: second, key: 'from-before-1970' })).toBe(200);
  // The latest stands by its place in the log, not by its time.
  expect(await post({ ...said, question: first, choice: 'tie', key: 'and-after-that' })).toBe(200);
  const { answers, answersTo } = readQuestions(people);
  expect(answers).toHaveLength(2);
  expect(answersTo.get(first ?? '')?.[0]?.choice).toBe('tie');
});
