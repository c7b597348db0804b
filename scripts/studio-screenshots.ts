/**
 * @file Makes the pictures of docs/studio.md, with chromium (or $CHROMIUM), of a quickstart that has run with its twin:
 * `tsx scripts/studio-screenshots.ts [runs]`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { serveStudio } from '../src/server/listen.ts';

const IMAGES = fileURLToPath(new URL('../docs/images', import.meta.url));
const WIDE = { width: 1280, height: 900 };
const PICTURES = [
  { name: 'studio-curves', address: '/run/quickstart/curves?beside=quickstart%2Ftwin', size: WIDE, scheme: 'light' },
  { name: 'studio-samples', address: '/run/quickstart/samples', size: WIDE, scheme: 'dark' },
] as const;

const [runs = 'runs'] = process.argv.slice(2);
const program = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);
if (program === undefined) throw new Error('There is no browser: install chromium, or name one in $CHROMIUM');
const studio = await serveStudio({ folders: [runs], port: 0 });
const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox'] });
for (const { name, address, size, scheme } of PICTURES) {
  const context = await browser.newContext({ viewport: size, colorScheme: scheme });
  const page = await context.newPage();
  await page.goto(studio.url);
  await page.goto(`http://127.0.0.1:${studio.port}/#${address}`);
  await page.locator('.chart, .answer').first().waitFor();
  await page.waitForTimeout(1000); // the curves of the run beside it
  await page.screenshot({ path: join(IMAGES, `${name}.png`) });
  await context.close();
}
await browser.close();
await studio.close();
