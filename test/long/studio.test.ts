/**
 * @file The studio in a real browser, where one is (chromium, or $CHROMIUM): 200 texts that would run as scripts stand in a
 * run's name, prompts, answers and settings, and none runs; no request leaves the machine; axe finds nothing serious, wide
 * and narrow, light and dark; all of it goes by keyboard; a page outlives its server.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeArena } from '../../src/arena/arena.ts';
import { Database } from '../../src/files/sqlite.ts';
import { ask, peopleFolder, QuestionLog, questionOf, readQuestions, say } from '../../src/rank/people/questions.ts';
import { type Studio, serveStudio } from '../../src/server/listen.ts';
import { writeStudioRun } from '../../src/server/studio-run.testing.ts';
import { writeAfterwards } from '../../src/store/afterwards.ts';
import { openEventLog } from '../../src/store/event-log.ts';
import { openLedger } from '../../src/store/ledger.ts';
import { hostileTexts } from '../support/hostile-texts.ts';

const program = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const token = 'token-of-the-browser-test';
const folder = mkdtempSync(join(tmpdir(), 'selm-browser-'));
const texts = hostileTexts();
const PEOPLE_PAGES = ['label', 'annotators', 'afterwards'];
const PAGES = ['curves', 'pairs', 'pairs/pair-1-0', 'samples', 'log', 'settings'];

let browser: Browser;
let studio: Studio;

if (program === undefined) process.stderr.write('No browser: test/long/studio.test.ts is skipped: install chromium\n');

describe.skipIf(program === undefined)('the studio in a browser', () => {
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: program ?? '', args: ['--no-sandbox'] });
    writeStudioRun(join(folder, 'good'), { pairs: 60 });
    openEventLog(join(folder, 'good')).close();
    await writePeople(join(folder, 'asks'), 'a **bold** text');
    await writeDuel(join(folder, 'duel'), ['a `code` answer', '- a list\n- of two']);
    for (const [n, text] of texts.entries()) {
      // Forty folders carry a text as their name, as far as a file system takes it.
      const name = n % 5 === 0 ? `${n} ${text.replace(/[/\0]/g, '_')}`.slice(0, 100) : `run-${n}`;
      const run = writeStudioRun(join(folder, name), { text, title: text, pairs: 1, steps: 1, iterations: 1 });
      using log = openEventLog(run);
      log.through(() => {}, { iteration: 1 })({ kind: 'warning', text });
    }
    await writePeople(join(folder, 'hostile-asks'), ...texts);
    await writeDuel(join(folder, 'hostile-duel'), texts);
    studio = await serveStudio({ folders: [folder], port: 0, token });
  }, 300_000);
  afterAll(async () => {
    await browser?.close();
    await studio?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it(`shows ${texts.length} hostile texts as texts on every page, and sends nothing to another host`, async () => {
    expect(texts.length).toBeGreaterThanOrEqual(200);
    const { page, problems } = await open();
    await page.locator('a[href^="#/arena"]').first().waitFor();
    const runs = await page
      .locator('.runs a')
      .evaluateAll((links) => links.map((link) => link.getAttribute('href') ?? ''));
    expect(runs).toHaveLength(texts.length + 5); // a good run, two that ask, two arenas
    for (const [index, run] of runs.filter((each) => !/duel|asks/.test(each)).entries()) {
      const parts = index % 10 === 0 ? PAGES : ['pairs', 'pairs/pair-1-0', 'settings'];
      for (const part of parts) {
        await page.goto(`http://127.0.0.1:${studio.port}/${run.replace(/\/curves$/, '')}/${part}`);
        await page
          .locator(part.startsWith('pairs') ? '.answer' : '.tabs')
          .first()
          .waitFor();
      }
    }
    expect(await page.evaluate('window.ran ?? null')).toBeNull();
    expect(problems).toEqual([]);
  }, 900_000);

  it('shows hostile texts as Markdown where people answer and vote, and runs none', async () => {
    const { page, problems } = await open();
    for (const address of ['run/hostile-asks/label', 'arena/hostile-duel/vote']) {
      await page.goto(`http://127.0.0.1:${studio.port}/#/${address}`);
      await page.locator('.answers.two').waitFor();
      while (!(await page.locator('[role=status]').textContent())?.includes(': 0 ')) {
        await page.keyboard.press('3');
        await page.waitForTimeout(40);
      }
    }
    expect(readQuestions(peopleFolder(join(folder, 'hostile-asks'))).answers).toHaveLength(texts.length);
    for (const address of [
      'run/hostile-asks/afterwards',
      'run/hostile-asks/annotators',
      'arena/hostile-duel/ratings',
    ]) {
      await page.goto(`http://127.0.0.1:${studio.port}/#/${address}`);
      await page.locator('.rendered, table').first().waitFor();
    }
    expect(await page.evaluate('window.ran ?? null')).toBeNull();
    expect(problems).toEqual([]);
  }, 300_000);

  it('shows the reports of runs with hostile titles under a policy that runs nothing', async () => {
    const { page, problems } = await open();
    for (let n = 1; n < texts.length; n += 20) {
      await page.goto(`http://127.0.0.1:${studio.port}/api/runs/run-${n % 5 === 0 ? n + 1 : n}/report`);
      expect(await page.locator('h1').count()).toBe(1);
      expect(await page.evaluate('window.ran ?? null')).toBeNull();
    }
    expect(problems).toEqual([]);
  }, 120_000);

  it.each<[string, BrowserContextOptions]>([
    ['wide and light', { viewport: { width: 1280, height: 900 }, colorScheme: 'light' }],
    ['wide and dark', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
    ['on a phone', { viewport: { width: 390, height: 844 }, colorScheme: 'light' }],
    ['on a phone in the dark', { viewport: { width: 390, height: 844 }, colorScheme: 'dark' }],
  ])(
    'has no serious finding of axe, and nothing runs over the edge: %s',
    async (_, options) => {
      const { page } = await open(options);
      const people = PEOPLE_PAGES.map((each) => `run/asks/${each}`);
      const arena = ['arena/duel/vote', 'arena/duel/ratings'];
      for (const part of ['', ...PAGES.map((each) => `run/good/${each}`), ...people, ...arena]) {
        await page.goto(`http://127.0.0.1:${studio.port}/#/${part}`);
        await page.locator('h1').first().waitFor();
        await page.waitForTimeout(400);
        // The policy of the pages lets no foreign script in; the browser's own door does.
        const found = (await page.evaluate(`${axe}; axe.run()`)) as { violations: { id: string; impact: string }[] };
        const serious = found.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
        expect([part, serious.map(({ id }) => id)]).toEqual([part, []]);
        expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
      }
    },
    300_000,
  );

  it('goes by keyboard from the list of runs to a pair', async () => {
    const { page } = await open();
    const press = async (text: string): Promise<void> => {
      for (let presses = 0; presses < 400; presses++) {
        await page.keyboard.press('Tab');
        const focused = await page.evaluate("document.activeElement?.textContent?.trim() ?? ''");
        if (focused === text) return page.keyboard.press('Enter');
      }
      throw new Error(`The keyboard does not reach "${text}"`);
    };
    await press('good');
    await page.locator('.tabs').waitFor();
    await press('Pairs');
    await page.locator('.pairs a').first().waitFor();
    await press('prompt 0 a text');
    await page.locator('.candidates').waitFor();
    expect(await page.locator('mark').allTextContents()).toEqual(['good', 'bad']);
  }, 60_000);

  it('draws curves on by the steps that are told, and does not ask for all of them after each', async () => {
    const runs = mkdtempSync(join(tmpdir(), 'selm-growing-'));
    const run = writeStudioRun(join(runs, 'growing'));
    const watched = await serveStudio({ folders: [runs], port: 0, token });
    const page = await browser.newPage();
    let asked = 0;
    page.on('request', (request) => {
      asked += request.url().includes('/curves?') ? 1 : 0;
    });
    await page.goto(watched.url);
    await page.goto(`http://127.0.0.1:${watched.port}/#/run/growing/curves`);
    const loss = page.locator('.chart').first().locator('.legend b');
    await loss.waitFor();
    using log = openEventLog(run);
    using ledger = openLedger(join(run, 'run.db'));
    const measure = async (step: number): Promise<void> => {
      const values = { loss: 100 + step, lr: 0.1 };
      ledger.putMetric({ iteration: 2, stage: 'train', step, values });
      log.through(() => {}, { iteration: 2 })({ kind: 'metrics', step, values });
      await loss.getByText(String(100 + step), { exact: true }).waitFor({ timeout: 4000 });
    };
    await measure(4); // the first of an iteration that the page is told of: it asks for where the curves begin
    await page.waitForTimeout(5500);
    const before = asked;
    for (const step of [5, 6, 7, 8, 9]) await measure(step);
    expect(asked).toBe(before);
    await page.close();
    await watched.close();
    rmSync(runs, { recursive: true, force: true });
  }, 90_000);

  it('says that the server is gone, and goes on by itself when it is back', async () => {
    const { page } = await open();
    await page.goto(`http://127.0.0.1:${studio.port}/#/run/good/log`);
    await page.locator('.log li').first().waitFor();
    const { port } = studio;
    await studio.close();
    await page.locator('.banner').waitFor();
    using log = openEventLog(join(folder, 'good'));
    log.through(() => {}, { iteration: 1 })({ kind: 'note', text: 'told while the server was away' });
    studio = await serveStudio({ folders: [folder], port, token });
    await page.getByText('told while the server was away').waitFor({ timeout: 30_000 });
    expect(await page.locator('.banner').count()).toBe(0);
  }, 90_000);
});

/** A page of the studio that was let in; `problems`: scripts that ran, errors, and requests to other hosts. */
async function open(options: BrowserContextOptions = {}): Promise<{ page: Page; problems: string[] }> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('request', (request) => {
    if (new URL(request.url()).host !== `127.0.0.1:${studio.port}`) problems.push(request.url());
  });
  await page.goto(studio.url);
  await page.locator('.runs').first().waitFor({ timeout: 120_000 }); // two hundred runs are opened
  return { page, problems };
}

it('a ledger that another process holds locked is told on its page, and is read when it is free', async () => {
  const runs = mkdtempSync(join(tmpdir(), 'selm-locked-'));
  const held = new Database(join(writeStudioRun(join(runs, 'held')), 'run.db'));
  held.pragma('journal_mode = DELETE');
  held.pragma('locking_mode = EXCLUSIVE');
  held.exec('BEGIN EXCLUSIVE');
  const server = await serveStudio({ folders: [runs], port: 0, token, assets: new Map() });
  const get = async (): Promise<string> => {
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`http://127.0.0.1:${server.port}/api/runs/held`, { headers })).text();
  };
  expect(await get()).toMatch(/locked/);
  held.exec('COMMIT');
  held.close();
  expect(await get()).toContain('"standing":"finished"');
  await server.close();
  rmSync(runs, { recursive: true, force: true });
}, 60_000);

/** A run that asks a question about each text, with what its labels moved. */
async function writePeople(path: string, ...asked: string[]): Promise<void> {
  const run = writeStudioRun(path, { ranker: 'people', pairs: 1, steps: 1, iterations: 1 });
  const questions = asked.map((text, n) =>
    questionOf({ promptId: `p${n}`, prompt: `prompt ${n} of hostile`, reason: text }, [text, `${text} or another`]),
  );
  ask(peopleFolder(run), questions);
  const [first] = questions;
  const who = { annotator: 'ada', key: 'an answer of ada', timeMs: 1, seconds: 2, left: 'first' as const };
  const said = { choice: 'first' as const, strength: 'much' as const, tags: [], isFlagged: true, edit: null };
  if (asked.length === 1)
    await say(new QuestionLog(peopleFolder(run)), { kind: 'answer', question: first?.id ?? '', ...who, ...said });
  const prompts = asked.map((text, n) => ({
    ...{ promptId: `p${n}`, prompt: text, chosen: text, rejected: 'worse', marginBefore: 0, marginAfter: 0.25 },
    ...{ before: ['before'], after: [text] },
  }));
  writeAfterwards(run, { iteration: 1, beta: 0.1, prompts });
}

/** An arena in which each text meets the next. */
async function writeDuel(path: string, answers: readonly string[]): Promise<void> {
  await writeArena(path, {
    createdAt: '2026-01-02T00:00:00.000Z',
    contenders: ['base', 'one'].map((name) => ({ name, source: answers[0] ?? '' })),
    sampling: { temperature: 0.7, topP: 1, maxNewTokens: 10, seed: 0 },
    prompts: answers.slice(1).map((text, n) => ({
      promptId: `p${n}`,
      prompt: { kind: 'text' as const, text },
      shown: text,
      answers: [`${text} `, answers[n] ?? ''],
    })),
  });
}
