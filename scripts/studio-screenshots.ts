/**
 * @file Makes the pictures of docs/studio.md and docs/arena.md, with chromium (or $CHROMIUM): of a quickstart that has run with its twin, and of a
 * made run that asks people and a made arena. `tsx scripts/studio-screenshots.ts [runs] [folder]`: without runs those of the made ones only.
 */
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { readArena, writeArena } from '../src/arena/arena.ts';
import { castVote, openBouts, readVotes, VoteLog } from '../src/arena/votes.ts';
import { ask, peopleFolder, QuestionLog, questionOf, say } from '../src/rank/people/questions.ts';
import { serveStudio } from '../src/server/listen.ts';
import { writeStudioRun } from '../src/server/studio-run.testing.ts';
import { writeAfterwards } from '../src/store/afterwards.ts';
import { openLedger } from '../src/store/ledger.ts';

const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
const PICTURES = [
  { name: 'studio-curves', address: '/run/quickstart/curves?beside=quickstart%2Ftwin', size: WIDE, scheme: 'light' },
  { name: 'studio-samples', address: '/run/quickstart/samples', size: WIDE, scheme: 'dark' },
  { name: 'studio-answer', address: '/run/asks/label', size: WIDE, scheme: 'light' },
  { name: 'studio-answer-phone', address: '/run/asks/label', size: PHONE, scheme: 'dark' },
  { name: 'studio-annotators', address: '/run/asks/annotators', size: WIDE, scheme: 'dark' },
  { name: 'studio-afterwards', address: '/run/asks/afterwards', size: WIDE, scheme: 'light' },
  { name: 'arena-vote', address: '/arena/duel/vote', size: WIDE, scheme: 'dark' },
  { name: 'arena-ratings', address: '/arena/duel/ratings', size: WIDE, scheme: 'light' },
] as const;

const PROMPTS = ['How do I sum a list in Python?', 'Why is the sky blue?', 'Write a line for a birthday card.'];
const GOOD = [
  'Call **sum**:\n\n```python\ntotal = sum([1, 2, 3])  # 6\n```\n\nIt works on any iterable of numbers.',
  'Air scatters **blue light** more than red: short waves more than long ones.\n\n1. Sunlight has all colours.\n2. The blue part is scattered to us from everywhere.',
  'Another year around the sun, and you are still the best company on the ride.',
];
const POOR = [
  'Use a loop:\n\n```python\ntotal = 0\nfor x in [1, 2, 3]:\n    total = x\n```',
  'Because of the sea. The sky is a **mirror** of the water below it.',
  'Happy birthday.',
];

/** A run that waits for people, and what they said of its first questions. */
async function writeAsking(path: string): Promise<void> {
  const people = peopleFolder(writeStudioRun(path, { ranker: 'people', iterations: 1 }));
  {
    using ledger = openLedger(join(path, 'run.db'));
    ledger.stages.begin(1, 'rank');
  }
  const reason = 'reward-model is 51:49 between its best and its worst here';
  const questions = PROMPTS.map((prompt, n) =>
    questionOf({ promptId: `prompt-${n}`, prompt, reason }, [GOOD[n] ?? '', POOR[n] ?? '']),
  );
  ask(people, questions);
  for (const [n, { id, texts }] of questions.slice(1).entries())
    for (const [m, annotator] of ['ada', 'ben'].entries()) {
      const choice = texts[0] === GOOD[n + 1] ? 'first' : 'second';
      const who = { question: id, annotator, key: `${annotator} ${id}`, timeMs: 1, seconds: 3 + 2 * m + n };
      const said = { choice, strength: 'some', isFlagged: n === 1 && m === 1, edit: null, left: 'first' } as const;
      await say(new QuestionLog(people), { kind: 'answer', ...who, ...said, tags: [] });
    }
  const prompts = [1, 2].map((n) => ({
    ...{ promptId: `prompt-${n}`, prompt: PROMPTS[n] ?? '', chosen: GOOD[n] ?? '', rejected: POOR[n] ?? '' },
    ...{ marginBefore: 0, marginAfter: 0.12 * n, before: [POOR[n] ?? ''], after: [GOOD[n] ?? ''] },
  }));
  writeAfterwards(path, { iteration: 1, beta: 0.1, prompts });
}

/** An arena in which one contender is better, and some votes. */
async function writeDuel(path: string): Promise<void> {
  const names = ['base', 'iteration-1', 'iteration-2'];
  await writeArena(path, {
    createdAt: '2026-01-02T00:00:00.000Z',
    contenders: names.map((name) => ({ name, source: name === 'base' ? './my-model' : `runs/my/${name}/model` })),
    sampling: { temperature: 0.7, topP: 1, maxNewTokens: 256, seed: 0 },
    prompts: Array.from({ length: 12 }, (_, n) => ({
      promptId: `p${n}`,
      prompt: { kind: 'text' as const, text: PROMPTS[n % 3] ?? '' },
      shown: PROMPTS[n % 3] ?? '',
      answers: [POOR[n % 3] ?? '', `${POOR[n % 3]} That is all.`, GOOD[n % 3] ?? ''],
    })),
  });
  const arena = readArena(path);
  for (const [n, { id, contenders }] of openBouts(arena, readVotes(path), 'ada').slice(0, 30).entries()) {
    const [first = [], second = []] = contenders;
    const better = Math.max(...first) > Math.max(...second) ? 'first' : 'second';
    const worse = better === 'first' ? 'second' : 'first';
    const choice = n % 7 === 0 ? 'tie' : n % 4 === 0 ? worse : better;
    const who = { bout: id, annotator: 'ada', key: `ada ${id}`, timeMs: n, seconds: 4 };
    await castVote(new VoteLog(path), arena, { kind: 'vote', ...who, choice, left: n % 2 === 0 ? 'first' : 'second' });
  }
}

const [runs, folder] = process.argv.slice(2);
const images = resolve(folder ?? fileURLToPath(new URL('../docs/images', import.meta.url)));
const program = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);
if (program === undefined) throw new Error('There is no browser: install chromium, or name one in $CHROMIUM');
const place = mkdtempSync(join(tmpdir(), 'selm-pictures-'));
const made = join(place, 'runs');
await writeAsking(join(made, 'asks'));
await writeDuel(join(made, 'duel'));
const hasRuns = runs !== undefined && existsSync(runs);
if (hasRuns) cpSync(runs, made, { recursive: true });
// Commands on the pages name the runs as from a project of somebody's own.
process.chdir(place);
const studio = await serveStudio({ folders: ['runs'], port: 0 });
const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox'] });
for (const { name, address, size, scheme } of PICTURES) {
  if (!hasRuns && address.startsWith('/run/quickstart')) continue;
  const context = await browser.newContext({ viewport: size, colorScheme: scheme });
  const page = await context.newPage();
  await page.goto(studio.url);
  await page.goto(`http://127.0.0.1:${studio.port}/#${address}`);
  await page.locator('.chart, .answer, table').first().waitFor();
  await page.waitForTimeout(1000); // the curves of the run beside it
  await page.screenshot({ path: join(images, `${name}.png`) });
  await context.close();
}
await browser.close();
await studio.close();
rmSync(place, { recursive: true, force: true });
