/**
 * @file People in a real browser (chromium, or $CHROMIUM) while a run waits for them, and what goes wrong between them: a studio that
 * dies before it could acknowledge, and a tab that shows what is settled long ago.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { expect, onTestFinished, test, vi } from 'vitest';
import { temporaryFolder } from '../../src/files/temporary.testing.ts';
import { runRecipe } from '../../src/loop/run.ts';
import {
  ask,
  peopleFolder,
  QuestionLog,
  questionOf,
  readQuestions,
  say,
  settle,
} from '../../src/rank/people/questions.ts';
import { loadRecipe } from '../../src/recipe/load.ts';
import { type Studio, serveStudio } from '../../src/server/listen.ts';
import { writeStudioRun } from '../../src/server/studio-run.testing.ts';
import { writeSmallRecipe } from '../support/small-recipe.ts';
import { pairsOf } from '../support/small-run.ts';

const program = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);
if (program === undefined) process.stderr.write('No browser: test/long/people.test.ts is skipped: install chromium\n');
const token = 'token-of-the-people-test';

async function serve(folder: string, port = 0): Promise<Studio> {
  return serveStudio({ folders: [folder], port, token });
}

async function browse(): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: program ?? '', args: ['--no-sandbox'] });
  onTestFinished(() => browser.close());
  return browser;
}

/** The labelling page of a run, as the owner or as who was invited. */
async function labelling(browser: Browser, studio: Studio, run: string, start = studio.url): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(start);
  await page.goto(`http://127.0.0.1:${studio.port}/#/run/${run}/label`);
  return page;
}

/** A run that asks these many questions, and has done nothing else. */
function askingRun(questions: number): { folder: string; people: string } {
  const folder = temporaryFolder();
  const people = peopleFolder(writeStudioRun(join(folder, 'mine'), { ranker: 'people' }));
  ask(
    people,
    Array.from({ length: questions }, (_, n) =>
      questionOf({ promptId: `p${n}`, prompt: `prompt ${n}` }, [`left or right ${n}`, `right or left ${n}`]),
    ),
  );
  return { folder, people };
}

test.skipIf(program === undefined)(
  'two people label by keyboard while a run waits, and the run trains on exactly what they said',
  async () => {
    const folder = temporaryFolder();
    const recipe = loadRecipe(
      writeSmallRecipe(join(folder, 'recipe'), { iterations: 1, ranker: { kind: 'people' }, labels: 'soft' }),
      { overrides: [`output=${join(folder, 'runs', 'waits')}`] },
    );
    const running = runRecipe(recipe);
    let isDone = false;
    void running.finally(() => {
      isDone = true;
    });
    const people = peopleFolder(join(folder, 'runs', 'waits'));
    await vi.waitFor(() => expect(readQuestions(people).asked.size).toBeGreaterThan(0), { timeout: 60_000 });
    const studio = await serve(join(folder, 'runs'));
    onTestFinished(() => studio.close());
    const browser = await browse();
    const pages = await Promise.all(
      ['ada', 'ben'].map((name) => labelling(browser, studio, 'waits', studio.invitation({ name, right: 'label' }))),
    );
    const work = async (page: Page): Promise<void> => {
      while (!isDone) {
        const texts = await page.locator('.answers.two .rendered').allTextContents();
        const [left = 0, right = 0] = texts.map((text) => text.split('a').length);
        if (texts.length === 2) await page.keyboard.press(left === right ? '3' : left > right ? '1' : '2');
        await page.waitForTimeout(30);
      }
    };
    await Promise.all([running, ...pages.map(work)]);

    const { asked, answers, answersTo } = readQuestions(people);
    expect(answers).toHaveLength(asked.size);
    expect([...answersTo.values()].every((each) => each.length === 1)).toBe(true);
    expect(new Set(answers.map(({ annotator }) => annotator)).size).toBe(2);
    for (const { promptId, chosen, rejected, label } of pairsOf(join(folder, 'runs', 'waits'), 1)) {
      expect(chosen.split('a').length, promptId).toBeGreaterThan(rejected.split('a').length);
      expect(label?.probability).toBeGreaterThan(0.5);
    }
  },
  300_000,
);

test('people decide where the other ranker is in doubt, within their budget; its verdict stands everywhere else', async () => {
  const folder = temporaryFolder();
  const output = join(folder, 'runs', 'doubt');
  const otherwise = { kind: 'function', module: 'reward.ts' };
  const select = { budget: 6, prompts: 'small-gap', beliefs: 'otherwise', otherwise };
  const changes = { iterations: 1, ranker: { kind: 'people' }, select };
  const recipe = loadRecipe(writeSmallRecipe(join(folder, 'recipe'), changes), { overrides: [`output=${output}`] });
  const running = runRecipe(recipe);
  let isDone = false;
  void running.finally(() => {
    isDone = true;
  });
  // Whoever answers always prefers the text with fewer letters a: the opposite of the other ranker.
  while (!isDone) {
    const { asked, answersTo } = readQuestions(peopleFolder(output));
    for (const { id, texts } of asked.values()) {
      if (answersTo.has(id)) continue;
      const [first, second] = texts.map((text) => text.split('a').length);
      const choice = (first ?? 0) <= (second ?? 0) ? 'first' : 'second';
      const answer = { choice, strength: 'some', isFlagged: false, edit: null, left: 'first' } as const;
      const who = { question: id, annotator: 'owner', seconds: 1, key: `key of ${id}`, timeMs: 1 };
      await say(new QuestionLog(peopleFolder(output)), { kind: 'answer', ...who, ...answer, tags: [] });
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await running;

  const { asked } = readQuestions(peopleFolder(output));
  expect(asked.size).toBe(6);
  const reasons = [...asked.values()].map(({ reason }) => reason);
  expect(reasons).toContain('drawn at random');
  expect(reasons.some((reason) => /^reward.ts is \d+:\d+ here$/.test(reason))).toBe(true);
  const byPeople = new Set([...asked.values()].map(({ promptId }) => promptId));
  for (const { promptId, chosen, rejected, rankerId } of pairsOf(output, 1)) {
    const margin = chosen.split('a').length - rejected.split('a').length;
    if (byPeople.has(promptId)) expect([rankerId, margin <= 0]).toEqual(['people version=1', true]);
    else expect([rankerId?.startsWith('people'), margin > 0]).toEqual([false, true]);
  }
}, 300_000);

test.skipIf(program === undefined)(
  'an answer that was kept by a studio which died before it said so counts once, and the page goes on with the next one',
  async () => {
    const { folder, people } = askingRun(3);
    let studio = await serve(folder);
    const page = await labelling(await browse(), studio, 'mine');
    await page.getByText('prompt 0', { exact: true }).waitFor();
    await page.route('**/answers', async (route) => {
      await route.fetch();
      await studio.close();
      await route.abort();
    });
    await page.keyboard.press('1');
    await page.getByText('does not answer').first().waitFor();
    await page.unroute('**/answers');
    studio = await serve(folder, studio.port);
    onTestFinished(() => studio.close());
    await page.getByText('prompt 1', { exact: true }).waitFor();
    await page.keyboard.press('1');
    await page.getByText('prompt 2', { exact: true }).waitFor();
    await vi.waitFor(() => expect(readQuestions(people).answers).toHaveLength(2));
    expect(readQuestions(people).keys.size).toBe(2);
  },
  120_000,
);

test.skipIf(program === undefined)(
  'an answer of a stale tab to a question that the run has used is refused on the page, and nothing changes',
  async () => {
    const { folder, people } = askingRun(2);
    const studio = await serve(folder);
    onTestFinished(() => studio.close());
    const page = await labelling(await browse(), studio, 'mine');
    await page.getByText('prompt 0', { exact: true }).waitFor();
    // The tab hears of nothing any more, and the run goes on without this answer.
    // (Once a look has failed, none is on its way: the page looks again only after the last one.)
    const isDeaf = page.waitForEvent('requestfailed');
    await page.route('**/questions', (route) => route.abort());
    await isDeaf;
    const [first = ''] = readQuestions(people).asked.keys();
    await settle(new QuestionLog(people), () => ({ result: null, ids: [first] }));
    await page.keyboard.press('1');
    await page.getByText('the run has used it, or continues without it').waitFor();
    await page.unroute('**/questions');
    await page.getByText('prompt 1', { exact: true }).waitFor();
    expect(readQuestions(people).answers).toEqual([]);
  },
  120_000,
);

test.skipIf(program === undefined)(
  'on a slow network the next question is there at once, and answers arrive whole and in their order',
  async () => {
    const { folder, people } = askingRun(8);
    const studio = await serve(folder);
    onTestFinished(() => studio.close());
    const page = await labelling(await browse(), studio, 'mine');
    await page.getByText('prompt 0', { exact: true }).waitFor();
    // Every request takes a second and a half, longer than the page waits between two looks.
    await page.route('**/api/**', async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await route.continue().catch(() => {}); // the page left it
    });
    for (let n = 0; n < 4; n++) {
      await page.keyboard.press(n === 3 ? '3' : '1');
      await page.getByText(`prompt ${n + 1}`, { exact: true }).waitFor({ timeout: 500 });
    }
    await page.keyboard.press('u'); // overtakes no answer: the last one is taken back
    await page.getByText('prompt 3', { exact: true }).waitFor({ timeout: 500 });
    await vi.waitFor(() => expect(readQuestions(people).keys.size).toBe(5), { timeout: 15_000 });
    expect(
      readQuestions(people).answers.map(({ question }) => readQuestions(people).asked.get(question)?.prompt),
    ).toEqual(['prompt 0', 'prompt 1', 'prompt 2']);
    // More than a page is given at once come while answers are on their way.
    for (let n = 3; n < 8; n++) {
      await page.getByText(`prompt ${n}`, { exact: true }).waitFor();
      await page.keyboard.press('2');
    }
    await vi.waitFor(() => expect(readQuestions(people).answers).toHaveLength(8), { timeout: 20_000 });
  },
  120_000,
);

test.skipIf(program === undefined)(
  'a question is read from its start, however far down the one before it was left, and a conversation turn by turn',
  async () => {
    const folder = temporaryFolder();
    const people = peopleFolder(writeStudioRun(join(folder, 'mine'), { ranker: 'people' }));
    const long = (word: string): string => Array.from({ length: 60 }, (_, n) => `${word} ${n}`).join('\n\n');
    const turns = [
      { role: 'user', text: 'Is `sum` fast?' },
      { role: 'assistant', text: '**Yes**.' },
      { role: 'user', text: 'How fast?' },
    ];
    ask(people, [
      questionOf({ promptId: 'p', prompt: 'first of two' }, [long('one'), long('two')]),
      questionOf({ promptId: 'q', prompt: 'second of two', turns }, [long('three'), long('four')]),
    ]);
    const studio = await serve(folder);
    onTestFinished(() => studio.close());
    const page = await labelling(await browse(), studio, 'mine');
    await page.getByText('first of two', { exact: true }).waitFor();
    await page.evaluate('scrollTo(0, 1500)');
    await page.keyboard.press('1');
    await page.locator('.prompt code', { hasText: 'sum' }).waitFor();
    expect(await page.locator('.prompt .role').allTextContents()).toEqual(['user', 'assistant', 'user']);
    const top = Number(await page.evaluate("document.querySelector('.prompt').getBoundingClientRect().top"));
    expect(top).toBeGreaterThanOrEqual(0);
    expect(top).toBeLessThan(100);
  },
  60_000,
);

test.skipIf(program === undefined)(
  'Markdown is rendered, a key opens the editor, and what is kept there is the answer',
  async () => {
    const folder = temporaryFolder();
    const people = peopleFolder(writeStudioRun(join(folder, 'mine'), { ranker: 'people' }));
    const texts = ['a **bold** claim', '```\nconst a = 1;\n```'] as const;
    ask(people, [questionOf({ promptId: 'p', prompt: 'prompt' }, texts)]);
    const studio = await serve(folder);
    onTestFinished(() => studio.close());
    const page = await labelling(await browse(), studio, 'mine');
    await page.locator('.rendered strong', { hasText: 'bold' }).waitFor();
    expect(await page.locator('.rendered pre code').textContent()).toBe('const a = 1;');
    await page.keyboard.press('w');
    await page.getByText('**bold**').waitFor();
    await page.keyboard.press('m');
    await page.keyboard.press('q');
    await page.keyboard.press('Control+a');
    await page.keyboard.type('a text of my own, with an s and a u');
    await page.keyboard.press('Control+Enter');
    await vi.waitFor(() => expect(readQuestions(people).answers).toHaveLength(1));
    const [answer] = readQuestions(people).answers;
    expect(answer).toMatchObject({ edit: 'a text of my own, with an s and a u', strength: 'much' });
    expect(answer?.choice).toBe(answer?.left);
  },
  60_000,
);
