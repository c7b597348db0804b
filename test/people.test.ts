/**
 * @file People as the ranker of a whole run: someone answers through the studio's own interface while the run waits, and the
 * run trains on exactly those answers; no answer that was acknowledged is lost, doubled or invented, whenever who is killed.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { pairsText } from '../src/cli/pairs.ts';
import { readLog } from '../src/files/durable-log.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { temporaryFolder } from '../src/files/temporary.testing.ts';
import { measureAfterwards } from '../src/loop/evaluation/afterwards.ts';
import { runRecipe } from '../src/loop/run.ts';
import { runSft } from '../src/loop/sft.ts';
import {
  ask,
  type Choice,
  peopleFolder,
  QuestionLog,
  questionOf,
  readQuestions,
  say,
} from '../src/rank/people/questions.ts';
import { loadRecipe, loadSftRecipe } from '../src/recipe/load.ts';
import type { Recipe } from '../src/recipe/schema.ts';
import type { AfterwardsPage, GivenAnswer, OpenQuestions, RunSummary } from '../src/server/api.ts';
import { type Studio, serveStudio } from '../src/server/listen.ts';
import { writeStudioRun } from '../src/server/studio-run.testing.ts';
import { openLedger } from '../src/store/ledger.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';
import { pairsOf } from './support/small-run.ts';

const token = 'token-of-the-annotator';
const EDIT = 'and she was kind.';
const KILLS = Number(process.env.SELM_KILLS ?? 6);

async function request(studio: Studio, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${studio.port}${path}`, {
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  expect(response.status, await response.clone().text()).toBe(200);
  return response.json();
}

/** As the reward of the small recipe: more letters a are better. */
function better(left: string, right: string): GivenAnswer['choice'] {
  const [a, b] = [left, right].map((text) => text.split('a').length);
  return a === b ? 'tie' : (a ?? 0) > (b ?? 0) ? 'left' : 'right';
}

test('a run waits for people, goes on by itself, and makes the pairs of whoever answered', async () => {
  const folder = temporaryFolder();
  const recipe = (name: string, changes: Record<string, unknown>) =>
    loadRecipe(writeSmallRecipe(join(folder, `${name}-recipe`), { iterations: 1, ...changes }), {
      overrides: [`output=${join(folder, 'runs', name)}`],
    });
  await runRecipe(recipe('function', {}));
  const running = runRecipe(recipe('people', { ranker: { kind: 'people' } }));
  let isDone = false;
  void running.finally(() => {
    isDone = true;
  });

  const studio = await serveStudio({ folders: [join(folder, 'runs')], port: 0, token, assets: new Map() });
  const standings = new Set<string | undefined>();
  const standing = async (): Promise<string | undefined> => {
    const { runs } = (await request(studio, '/api/runs')) as { runs: RunSummary[] };
    return runs.find(({ id }) => id === 'people')?.standing;
  };
  let answers = 0;
  let edited: string | null = null;
  while (!isDone) {
    await setTimeout(50);
    if ((await standing()) === undefined) continue;
    const { next } = (await request(studio, '/api/runs/people/questions')) as OpenQuestions;
    // With its questions open the run can only wait.
    if (next.length > 0) standings.add(await standing());
    for (const { id, left, right } of next) {
      const choice = better(left, right);
      // The first who decides writes a better text than both.
      const writes: boolean = edited === null && (choice === 'left' || choice === 'right');
      edited ??= writes ? id : null;
      const edit = writes ? EDIT : null;
      const answer: GivenAnswer = { question: id, choice, edit, seconds: 1, key: `annotator-${answers++}` };
      await request(studio, '/api/runs/people/answers', answer);
    }
  }
  await running;
  await studio.close();

  const { asked } = readQuestions(peopleFolder(join(folder, 'runs', 'people')));
  const ofEdit = asked.get(edited ?? '')?.promptId;
  const texts = (name: string) =>
    pairsOf(join(folder, 'runs', name), 1).map(({ promptId, chosen, rejected }) => ({ promptId, chosen, rejected }));
  expect(standings).toContain('waiting');
  expect(answers).toBe(readQuestions(peopleFolder(join(folder, 'runs', 'people'))).asked.size);
  expect(texts('people')).toEqual(
    texts('function').map((pair) => (pair.promptId === ofEdit ? { ...pair, chosen: EDIT } : pair)),
  );
  expect(texts('people').map(({ chosen }) => chosen)).toContain(EDIT);

  // Afterwards: the same prompts again, and what the training did to the pairs that the answers made.
  const { output } = recipe('people', { ranker: { kind: 'people' } });
  const moved = await measureAfterwards(recipe('people', { ranker: { kind: 'people' } }), { iteration: 1, limit: 3 });
  expect(moved).toHaveLength(3);
  const again = await serveStudio({ folders: [output], port: 0, token, assets: new Map() });
  const page = (await request(again, '/api/runs/people/afterwards?annotator=owner')) as AfterwardsPage;
  await again.close();
  expect(page.iterations).toMatchObject([{ iteration: 1, prompts: 3 }]);
  for (const { promptId, chosen, before, after, marginBefore, marginAfter } of page.prompts) {
    expect(texts('people')).toContainEqual(expect.objectContaining({ promptId, chosen }));
    expect(marginBefore).toBeCloseTo(0, 4); // the policy before is the initial model
    expect(Math.abs(marginAfter)).toBeGreaterThan(0);
    expect([before.length, after.length]).toEqual([2, 2]);
  }
}, 120_000);

/** Runs a recipe, and answers each of its questions as soon as it is asked. */
async function runAnswered(recipe: Recipe, choose: (texts: readonly [string, string]) => Choice): Promise<void> {
  const running = runRecipe(recipe);
  let isDone = false;
  void running.finally(() => {
    isDone = true;
  });
  const log = new QuestionLog(peopleFolder(recipe.output));
  while (!isDone) {
    await setTimeout(30);
    const { asked, answersTo } = log.read();
    for (const { id, texts } of asked.values()) {
      if (answersTo.has(id)) continue;
      const how = { strength: 'some', isFlagged: false, edit: null, left: 'first', seconds: 1 } as const;
      const who = { question: id, annotator: 'ada', key: `key of ${id}`, timeMs: 1 };
      await say(log, { kind: 'answer', ...who, choice: choose(texts), ...how, tags: [] });
    }
  }
  await running;
}

/** As the reward of the small recipe. */
function moreOfTheLetter([first, second]: readonly [string, string]): Choice {
  return first.split('a').length >= second.split('a').length ? 'first' : 'second';
}

test('with rounds a run asks people a part at a time: it settles the answers to one, and only then asks the next', async () => {
  const folder = temporaryFolder();
  const select = { budget: 6, rounds: 3, prompts: 'doubt', beliefs: 'reward-model' };
  const changes = { iterations: 1, ranker: { kind: 'people' }, select, evaluate: { explorationPrompts: 0 } };
  const recipe = loadRecipe(writeSmallRecipe(folder, changes), { overrides: [`output=${join(folder, 'rounds')}`] });
  await runAnswered(recipe, moreOfTheLetter);

  const lines = readLog(join(peopleFolder(recipe.output), 'questions.jsonl')) as { kind: 'asked' | 'settled' }[];
  expect(lines.map(({ kind }) => kind)).toEqual([1, 2, 3].flatMap(() => ['asked', 'asked', 'settled']));
  using ledger = openLedger(join(recipe.output, 'run.db'));
  const selection = ledger.record(1, 'selection');
  expect(selection?.rounds).toBe(3);
  const { asked } = readQuestions(peopleFolder(recipe.output));
  expect(selection?.asked.map(({ promptId }) => promptId)).toEqual([...asked.values()].map(({ promptId }) => promptId));
  expect(selection?.asked.filter(({ isDrawn }) => !isDrawn).length).toBeGreaterThan(2);
  for (const { promptId, chosen, rejected } of pairsOf(recipe.output, 1)) {
    const texts = [...asked.values()].find((each) => each.promptId === promptId)?.texts;
    expect(moreOfTheLetter([chosen, rejected])).toBe('first');
    expect(texts).toEqual([chosen, rejected].sort());
  }
}, 120_000);

test('with examples: labels iterations train KTO on every text that was called good or bad, although only one prompt makes a pair', async () => {
  const folder = temporaryFolder();
  const preference = { kind: 'kto', beta: 0.1, examples: 'labels' };
  const objective = { preference, exploration: { kind: 'none' } };
  const changes = { ranker: { kind: 'people' }, reference: 'initial', select: { budget: 6 }, objective };
  const recipe = loadRecipe(writeSmallRecipe(folder, changes), { overrides: [`output=${join(folder, 'labels')}`] });
  let answered = 0;
  await runAnswered(recipe, (texts) => (answered++ === 0 ? moreOfTheLetter(texts) : 'both-bad'));

  expect(answered).toBe(12);
  expect([1, 2].map((iteration) => pairsOf(recipe.output, iteration).length)).toEqual([1, 0]);
  using ledger = openLedger(join(recipe.output, 'run.db'));
  const total = (name: string): number => ledger.metrics().reduce((sum, { values }) => sum + (values[name] ?? 0), 0);
  expect([total('responses'), total('desirable')]).toEqual([24, 1]);
  const card = readFileSync(join(recipe.output, 'iteration-2', 'model', 'README.md'), 'utf8');
  expect(card).toContain('trains on every text that they called good or bad');
}, 120_000);

test(
  `no acknowledged answer is lost or doubled when who keeps it is killed ${KILLS} times`,
  async () => {
    const folder = join(temporaryFolder(), 'people');
    ask(folder, [questionOf({ promptId: 'p', prompt: 'prompt' }, ['a', 'b'])]);
    const script = fileURLToPath(new URL('support/answer-writer.ts', import.meta.url));
    const acknowledged: string[] = [];
    for (let attempt = 0; attempt < KILLS; attempt++) {
      const writer = spawn(process.execPath, ['--import', 'tsx', script, folder, String(attempt)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      writer.stdout.on('data', (data: Buffer) => {
        if (said === '') void setTimeout(Math.random() * 60).then(() => writer.kill('SIGKILL'));
        said += data.toString();
      });
      await new Promise((resolve) => writer.on('close', resolve));
      acknowledged.push(...said.split('\n').slice(0, -1));
    }
    const { keys, answers } = readQuestions(folder);
    expect(acknowledged.length).toBeGreaterThan(KILLS);
    expect(acknowledged.filter((key) => !keys.has(key))).toEqual([]);
    // What was written and not acknowledged any more is at most one answer a kill, and it is a real one.
    expect(keys.size - acknowledged.length).toBeLessThanOrEqual(KILLS);
    expect(answers).toHaveLength(1);
  },
  60_000 + 5000 * KILLS,
);

test('what people called both bad makes no pair and trains KTO, by two commands', async () => {
  const folder = temporaryFolder();
  const run = writeStudioRun(join(folder, 'mine'), { ranker: 'people', pairs: 3 });
  const people = peopleFolder(run);
  const questions = [0, 1, 2].map((n) =>
    questionOf({ promptId: `prompt-${n}`, prompt: `prompt ${n}` }, [` a good text ${n}.`, ` xx zz ${n}.`]),
  );
  ask(people, questions);
  for (const [n, { id }] of questions.entries()) {
    const said = { choice: n === 0 ? ('both-bad' as const) : ('first' as const), strength: 'some' as const, tags: [] };
    const how = { isFlagged: false, edit: null, left: 'first' as const, seconds: 1, key: `an answer ${n}`, timeMs: n };
    await say(new QuestionLog(people), { kind: 'answer', question: id, annotator: 'ada', ...said, ...how });
  }
  const rows = await pairsText(run, { labels: true });
  const labels = rows.split('\n').map((row) => (JSON.parse(row) as { label: boolean }).label);
  expect(labels).toEqual([false, false, true, false, true, false]);
  writeFileSync(join(folder, 'labels.jsonl'), rows);
  const recipe = loadSftRecipe(join(packageRoot, 'recipes', 'kto-labels.yaml'), {
    overrides: [`data.train=${join(folder, 'labels.jsonl')}`, `output=${join(folder, 'kto')}`, 'threads=1'],
  });
  const { modelPath } = await runSft(recipe);
  expect(existsSync(join(modelPath, 'model.safetensors'))).toBe(true);
});
