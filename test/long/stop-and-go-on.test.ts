/** @file A real `selm train`, stopped and gone on with by the buttons of its page, in a browser, where one is (chromium, or $CHROMIUM). */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../src/files/package-root.ts';
import { temporaryFolder } from '../../src/files/temporary.testing.ts';
import { serveStudio } from '../../src/server/listen.ts';
import { openLedger } from '../../src/store/ledger.ts';
import { writeSmallRecipe } from '../support/small-recipe.ts';

const ITERATIONS = 2;
/** The reward of the small recipe, once the file beside it is gone: until then the run is in the middle, however slow a browser is. */
const REWARD = `import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
const hold = new URL('hold', import.meta.url);
export async function reward(_prompt: string, responses: string[]): Promise<number[]> {
  while (existsSync(hold)) await setTimeout(50);
  return responses.map((text) => text.split('a').length);
}
`;

const program = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);
if (program === undefined)
  process.stderr.write('No browser: test/long/stop-and-go-on.test.ts is skipped: install chromium\n');

test.skipIf(program === undefined)(
  'the page stops a run, which saves and ends, and goes on with it to its end',
  async () => {
    const folder = temporaryFolder();
    const run = join(folder, 'runs', 'mine');
    const recipe = writeSmallRecipe(join(folder, 'recipe'), { iterations: ITERATIONS });
    const hold = join(folder, 'recipe', 'hold');
    writeFileSync(hold, '');
    writeFileSync(join(folder, 'recipe', 'reward.ts'), REWARD);
    const words = ['train', recipe, '--set', `output=${run}`];
    mkdirSync(join(folder, 'runs'));
    const studio = await serveStudio({ folders: [join(folder, 'runs')], port: 0, token: 'token-of-the-browser-test' });
    onTestFinished(() => studio.close());
    const browser = await chromium.launch({ executablePath: program ?? '', args: ['--no-sandbox'], timeout: 120_000 });
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    page.setDefaultNavigationTimeout(120_000);
    await page.goto(studio.url);
    const training = spawn(process.execPath, [join(packageRoot, 'bin', 'selm'), ...words], { stdio: 'ignore' });
    onTestFinished(() => void training.kill('SIGKILL'));
    const ended = new Promise<number | null>((resolve) => training.on('exit', resolve));
    await expect.poll(() => existsSync(join(run, 'events.jsonl')), { timeout: 60_000 }).toBe(true);

    await page.goto(`http://127.0.0.1:${studio.port}/#/run/mine/curves`);
    const press = async (name: RegExp): Promise<void> => page.getByRole('button', { name }).click();
    await press(/^stop$/);
    await press(/^stop it now/);
    expect(await ended).not.toBe(0);
    await page.getByRole('button', { name: /^go on$/ }).waitFor();
    expect(existsSync(join(run, `iteration-${ITERATIONS}`, 'model'))).toBe(false);

    rmSync(hold);
    await press(/^go on$/);
    await press(/^start its command again/);
    await page
      .getByText(/finished$/)
      .first()
      .waitFor();
    using ledger = openLedger(join(run, 'run.db'), { access: 'read' });
    const trained = ledger.stages.all().filter(({ stage, status }) => stage === 'train' && status === 'finished');
    expect(trained.map(({ iteration }) => iteration)).toEqual(Array.from({ length: ITERATIONS }, (_, n) => n + 1));
    expect(existsSync(join(run, `iteration-${ITERATIONS}`, 'model'))).toBe(true);
  },
  600_000,
);
