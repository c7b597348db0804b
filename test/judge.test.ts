/** @file A judge and a second opinion through a whole small run: what is asked, kept, paired, reported, and gone on with. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { pairsText } from '../src/cli/pairs.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { runRecipe } from '../src/loop/run.ts';
import {
  type Act,
  completion,
  type JudgeServer,
  type SeenRequest,
  startServer,
} from '../src/rank/judge/server.testing.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { type Ledger, openLedger } from '../src/store/ledger.ts';
import { opinionReason } from '../src/store/opinions.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-judge-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

/** Prefers the text with more letters a, as the small recipe's reward does. */
function preferLetterA(request: SeenRequest): Act {
  const [, first = '', second = ''] = (request.body.messages[0]?.content ?? '').split('|');
  const [ours, theirs] = [first.split('a').length, second.split('a').length];
  return { kind: 'reply', body: completion(ours === theirs ? 'tie' : ours > theirs ? 'A' : 'B') };
}

/** Eight prompts with two samples each: at most 16 questions, and a training of seconds. */
const SMALL = { iterations: 1, data: { train: 'prompts.jsonl', limit: 8 } };

let server: JudgeServer;
let act: (request: SeenRequest) => Act = preferLetterA;
beforeEach(async () => {
  act = preferLetterA;
  server = await startServer((request) => act(request));
});
afterEach(() => server.close());

/** Writes the small recipe with one iteration and the given changes; `judge` in them becomes the judge's settings. */
function write(changes: (judge: Record<string, unknown>) => Record<string, unknown>): {
  recipe: string;
  output: string;
} {
  const folder = join(root, String(count++));
  const judge = {
    kind: 'judge',
    model: 'test-judge',
    baseUrl: server.url,
    ask: { kind: 'pairwise', read: 'text', prompt: 'judge.yaml' },
    retries: 0,
  };
  const recipe = writeSmallRecipe(folder, { ...SMALL, ...changes(judge) });
  const prompt = { user: '{prompt}|{first}|{second}', answers: { first: 'A', second: 'B', tie: 'tie' } };
  writeFileSync(join(folder, 'judge.yaml'), stringify(prompt));
  return { recipe, output: join(folder, 'run') };
}

async function run({ recipe, output }: { recipe: string; output: string }, set: string[] = []): Promise<LoopEvent[]> {
  const events: LoopEvent[] = [];
  const loaded = loadRecipe(recipe, { overrides: [`output=${output}`, ...set] });
  await runRecipe(loaded, { watch: (event) => void events.push(event) });
  return events;
}

function reading<Result>(output: string, read: (ledger: Ledger) => Result): Result {
  using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  return read(ledger);
}

function pairTexts(output: string): { promptId: string; chosen: string; rejected: string }[] {
  return reading(output, (ledger) =>
    ledger.pairs(1).map(({ promptId, chosen, rejected }) => ({ promptId, chosen, rejected })),
  );
}

describe('a run whose ranker is a judge', () => {
  it('makes the pairs that a function with the same taste makes, and leads from each pair to the raw answers', async () => {
    const judged = write((ranker) => ({ ranker }));
    const byFunction = write(() => ({}));
    await run(judged);
    await run(byFunction);
    expect(pairTexts(judged.output)).toEqual(pairTexts(byFunction.output));
    reading(judged.output, (ledger) => {
      const [pair] = ledger.pairs(1);
      const [ranking] = ledger.pairLineage(pair?.pairId ?? '')?.rankings ?? [];
      expect(ranking?.judgements).toHaveLength(2);
      for (const { answerKey } of ranking?.judgements ?? []) expect(ledger.answers.get(answerKey)).toMatch(/"choices"/);
      expect(ledger.answers.spent(ledger.record(0, 'rankers')?.first ?? '').calls).toBe(server.requests.length);
    });
    const { pairId } = reading(judged.output, (ledger) => ledger.pairs(1)[0]) ?? { pairId: '' };
    expect(await pairsText(judged.output, { id: pairId })).toMatch(
      /Answers of the judge \(preference for the first shown, 0 to 1\):\n {2}response 0 .* shown before response 1 .*: [01], answer \w{12}\n/,
    );
    const lineage: unknown = JSON.parse(await pairsText(judged.output, { id: pairId, json: true }));
    expect(lineage).toMatchObject({ answers: [{ outcome: 'answer', promptTokens: 100 }, { completionTokens: 10 }] });
  });

  it('stops at its budget with exit code 1, goes on when that is raised, and asks nothing twice', async () => {
    const judged = write((ranker) => ({ ranker: { ...ranker, budget: { calls: 10 }, concurrency: 2 } }));
    await expect(run(judged)).rejects.toMatchObject({ code: 'JUDGE_BUDGET', exitCode: 1 });
    expect(server.requests).toHaveLength(10);
    const events = await run(judged, ['ranker.budget.calls=1000']);
    expect(events).toContainEqual(
      expect.objectContaining({ kind: 'note', text: expect.stringContaining('ranker.budget.calls: 10 -> ') }),
    );
    const questions = server.requests.map(({ body }) => JSON.stringify(body.messages));
    expect(new Set(questions).size).toBe(questions.length);
    expect(reading(judged.output, (ledger) => ledger.pairs(1).length)).toBeGreaterThan(0);
  });

  it('stops when its server goes away in the middle, and goes on where it was when it is back', async () => {
    const judged = write((ranker) => ({ ranker: { ...ranker, onError: 'drop' } }));
    act = (request) => (request.index < 7 ? preferLetterA(request) : { kind: 'hang up' });
    await expect(run(judged)).rejects.toMatchObject({ code: 'JUDGE_UNAVAILABLE', exitCode: 1 });
    const answered = 7;
    act = preferLetterA;
    const before = server.requests.length;
    await run(judged);
    const rankings = reading(judged.output, (ledger) => ledger.rankings(1));
    expect(rankings.filter(({ problem }) => problem !== undefined)).toEqual([]);
    const asked = rankings.reduce((sum, { judgements = [] }) => sum + judgements.length, 0);
    expect(server.requests.length - before).toBe(asked - answered);
  });

  it('killed while it judges, asks nothing twice that was answered and makes the pairs of an unbroken run', async () => {
    const unbroken = write((ranker) => ({ ranker }));
    await run(unbroken);
    const before = server.requests.length;
    const judged = write((ranker) => ({ ranker: { ...ranker, concurrency: 2 } }));
    act = (request) => ({ ...(preferLetterA(request) as Extract<Act, { kind: 'reply' }>), delayMs: 5 });
    const script = join(packageRoot, 'test', 'support', 'run-recipe.ts');
    const code = await new Promise<number | null>((resolve) => {
      const args = ['--import', 'tsx', script, judged.recipe, judged.output];
      const child = spawn(process.execPath, args, { cwd: packageRoot, stdio: 'ignore' });
      const timer = setInterval(() => {
        if (server.requests.length - before >= 6) child.kill('SIGKILL');
      }, 1);
      child.on('close', (status) => {
        clearInterval(timer);
        resolve(status);
      });
    });
    expect(code).toBeNull();
    await run(judged);
    const questions = server.requests.slice(before).map(({ body }) => JSON.stringify(body.messages));
    // At most the two requests that were under way are asked again.
    expect(questions.length - new Set(questions).size).toBeLessThanOrEqual(2);
    expect(questions.length).toBeLessThanOrEqual(before + 2);
    expect(pairTexts(judged.output)).toEqual(pairTexts(unbroken.output));
  });

  it('leaves out what could not be judged, and says how many', async () => {
    const judged = write((ranker) => ({ ranker: { ...ranker, onError: 'drop' } }));
    act = (request) =>
      request.body.messages[0]?.content.startsWith('Tom') ? { kind: 'reply', body: '<html>' } : preferLetterA(request);
    const events = await run(judged);
    reading(judged.output, (ledger) => {
      const problems = ledger.rankings(1).filter(({ problem }) => problem !== undefined);
      expect(problems.length).toBeGreaterThan(0);
      const paired = new Set(ledger.pairs(1).map(({ promptId }) => promptId));
      expect(problems.filter(({ promptId }) => paired.has(promptId))).toEqual([]);
      const text = `${problems.length} of 8 prompts got no verdict and are left out`;
      expect(events).toContainEqual(expect.objectContaining({ kind: 'warning', text }));
    });
  });

  it('that says nothing of a held-out answer takes that prompt from all policies in the report', async () => {
    const judged = write((ranker) => ({ ranker, evaluate: { prompts: 'prompts.jsonl', limit: 3 } }));
    // The held-out prompts are the first three; answers of iteration 1 to the second of them get no verdict.
    act = (request) =>
      request.body.messages[0]?.content.startsWith('Lily went to the house.')
        ? { kind: 'reply', body: completion('hm') }
        : preferLetterA(request);
    await run(judged, ['ranker.onError=drop']);
    const report = readFileSync(join(judged.output, 'report.html'), 'utf8');
    expect(report).toContain('1 held-out prompts are left out');
  });

  it('without its key is refused before a run directory exists, and the key is in no file of a run that has it', async () => {
    const judged = write((ranker) => ({ ranker: { ...ranker, apiKeyVariable: 'SELM_TEST_JUDGE_KEY' } }));
    await expect(run(judged)).rejects.toMatchObject({ code: 'JUDGE_KEY_MISSING', exitCode: 2 });
    expect(() => readFileSync(join(judged.output, 'config.yaml'))).toThrow('ENOENT');
    process.env.SELM_TEST_JUDGE_KEY = 'sk-not-to-be-kept';
    try {
      await run(judged);
    } finally {
      delete process.env.SELM_TEST_JUDGE_KEY;
    }
    expect(server.requests[0]?.headers.authorization).toBe('Bearer sk-not-to-be-kept');
    for (const name of ['config.yaml', 'run.db', 'run.db-wal']) {
      const path = join(judged.output, name);
      let content = '';
      try {
        content = readFileSync(path, 'latin1');
      } catch {
        continue; // the journal goes when the ledger is closed
      }
      expect(content, name).not.toContain('not-to-be-kept');
    }
  });
});

describe('a second opinion', () => {
  it('is asked on the drawn share, kept beside the first, changes no pair, and its agreement is reported', async () => {
    const held = { evaluate: { prompts: 'prompts.jsonl', limit: 2 } };
    const both = write((ranker) => ({ secondOpinion: { ranker, share: 0.5 }, ...held }));
    const alone = write(() => held);
    const events = await run(both);
    await run(alone);
    const recipe = loadRecipe(both.recipe);
    reading(both.output, (ledger) => {
      const ids = ledger.record(0, 'rankers');
      const of = (id: string | null | undefined) => ledger.rankings(1).filter(({ rankerId }) => rankerId === id);
      const drawn = of(ids?.first).filter((first) => opinionReason(recipe, first) === 'drawn');
      expect(of(ids?.second).map(({ promptId }) => promptId)).toEqual(drawn.map(({ promptId }) => promptId));
      // Eight prompts at one half: this seed draws some and not all.
      expect(drawn.length).toBeGreaterThan(0);
      expect(drawn.length).toBeLessThan(8);
    });
    expect(pairTexts(both.output)).toEqual(pairTexts(alone.output));
    // The judge has the function's taste, so they agree throughout.
    const note = events.find((event) => event.kind === 'note' && event.text.startsWith('Agreement of the rankers'));
    expect(note).toMatchObject({ text: expect.stringContaining('100 % [100, 100]') });
    const report = readFileSync(join(both.output, 'report.html'), 'utf8');
    expect(report).toContain('Gwet’s AC1');
    expect(report).toContain('judge test-judge');
  });

  it('settles the prompts that leave the first in doubt, where the second decides', async () => {
    // The first ranker cannot tell anything apart; the second can.
    const both = write((ranker) => ({
      ranker: { kind: 'function', module: 'same.ts' },
      secondOpinion: { ranker, share: 0, doubtMargin: 0, decides: 'second' },
    }));
    writeFileSync(
      join(both.output, '..', 'same.ts'),
      'export const reward = (_: string, responses: string[]): number[] => responses.map(() => 1);\n',
    );
    await run(both);
    reading(both.output, (ledger) => {
      const second = ledger.record(0, 'rankers')?.second;
      const pairs = ledger.pairs(1);
      expect(pairs.length).toBeGreaterThan(0);
      expect(pairs.every(({ rankerId }) => rankerId === second)).toBe(true);
    });
  });

  it('from the very ranker that gave the first is refused', async () => {
    const twice = write((ranker) => ({ ranker, secondOpinion: { ranker } }));
    await expect(run(twice)).rejects.toMatchObject({ code: 'RANKERS_EQUAL', exitCode: 2 });
  });
});
