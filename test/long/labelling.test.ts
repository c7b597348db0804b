/** @file Fifty questions answered by keyboard in a real browser, where one is (chromium, or $CHROMIUM), and what was kept of them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from '../../src/files/temporary.testing.ts';
import { ask, peopleFolder, questionOf, readQuestions } from '../../src/rank/people/questions.ts';
import { serveStudio } from '../../src/server/listen.ts';
import { writeStudioRun } from '../../src/server/studio-run.testing.ts';

const program = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);
if (program === undefined)
  process.stderr.write('No browser: test/long/labelling.test.ts is skipped: install chromium\n');

test.skipIf(program === undefined)(
  'a key is an answer, the next question is there at once, and undo takes it back',
  async () => {
    const folder = temporaryFolder();
    const people = peopleFolder(writeStudioRun(join(folder, 'mine'), { ranker: 'people' }));
    const better = (n: number): string => `better ${n} <img src=x onerror=window.ran=1>`;
    ask(
      people,
      Array.from({ length: 50 }, (_, n) =>
        questionOf({ promptId: `p${n}`, prompt: `prompt ${n}` }, [better(n), `worse ${n}`]),
      ),
    );
    const studio = await serveStudio({ folders: [folder], port: 0, token: 'token-of-the-browser-test' });
    onTestFinished(() => studio.close());
    const browser = await chromium.launch({ executablePath: program ?? '', args: ['--no-sandbox'] });
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    await page.goto(studio.url);
    await page.goto(`http://127.0.0.1:${studio.port}/#/run/mine/label`);
    const left = page.locator('.answers.two .answer').first();
    for (let n = 0; n < 50; n++) {
      await page.getByText(`prompt ${n}`, { exact: true }).waitFor();
      const isLeft = (await left.textContent())?.includes('better');
      await page.keyboard.press(isLeft === true ? '1' : '2');
    }
    await page.getByText('50 answered').waitFor();
    await page.keyboard.press('u');
    await page.getByText('49 answered').waitFor();
    await page.getByText('prompt 49', { exact: true }).waitFor();

    const { answers, asked } = readQuestions(people);
    const chosen = [...answers.values()].map(({ question, choice }) => {
      const texts = asked.get(question)?.texts;
      return choice === 'first' ? texts?.[0] : texts?.[1];
    });
    expect(chosen).toEqual(Array.from({ length: 49 }, (_, n) => better(n)));
    const sides = [...answers.values()].filter(({ choice, left: side }) => choice === side).length;
    expect(sides).toBeGreaterThan(10);
    expect(sides).toBeLessThan(40);
    expect(await page.evaluate('window.ran ?? null')).toBeNull();
    await page.screenshot({ path: process.env.SELM_SCREENSHOT ?? join(folder, 'label.png') });
  },
  180_000,
);
