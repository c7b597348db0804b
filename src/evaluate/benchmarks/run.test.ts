import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type AnswerStore, memoryStore, openAnswerStore } from './answer-store.ts';
import type { ChoiceRequest } from './requests.ts';
import { type BenchmarkRun, type Respondent, runBenchmark } from './run.ts';
import { arcChallenge } from './suite/arc.ts';
import { gsm8kCot } from './suite/gsm8k.ts';
import { hellaswag } from './suite/hellaswag.ts';
import { mmlu } from './suite/mmlu.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-benchmarks-'));
afterAll(() => rmSync(folder, { recursive: true }));

const rowsOf = (count: number, name = 'q') =>
  Array.from({ length: count }, (_, i) => ({
    line: i + 1,
    value: { question: `${name} ${i}`, choices: ['right', 'wrong'], gold: 0 } as Record<string, unknown>,
  }));

/** Likes the first choice best, and keeps what it was asked. Fails at the question after `failAfter` ones. */
function respondent({ identity = 'model', failAfter = Infinity } = {}) {
  const asked: ChoiceRequest[] = [];
  const own: Respondent & { asked: ChoiceRequest[] } = {
    identity,
    asked,
    *scoreChoices(requests) {
      for (const request of requests) {
        if (asked.length >= failAfter) throw new Error('out of memory');
        asked.push(request);
        const { id, context, continuations } = request;
        if (context.includes('too long')) {
          yield { kind: 'refused', id, problem: 'a choice does not fit' };
          continue;
        }
        const value = continuations.map((_, place) => -1 - place);
        yield { kind: 'answered', id, value, cut: context.includes('cut') ? 5 : 0 };
      }
    },
    async *generateAnswers(requests) {
      for (const { id } of requests) yield { kind: 'answered', id, value: 'The answer is 4.', cut: 0 };
    },
  };
  return own;
}

const run = (options: Partial<BenchmarkRun> = {}): BenchmarkRun => ({
  rows: rowsOf(40),
  exampleRows: rowsOf(30, 'example'),
  shots: 0,
  store: memoryStore(),
  ...options,
});

describe('runBenchmark', () => {
  it('gives means with their standard error and interval, over the items', async () => {
    const rows = [...rowsOf(3), { line: 4, value: { question: 'x', choices: ['right', 'wrong'], gold: 1 } }];
    const { metrics } = await runBenchmark(arcChallenge, respondent(), run({ rows }));
    expect(metrics.acc).toMatchObject({ value: 0.75, standardError: 0.25, count: 4 });
    expect(metrics.acc?.low).toBeLessThan(0.75);
  });

  it('draws the examples of an item by the items before it, not by which are still open', async () => {
    const first = respondent();
    await runBenchmark(arcChallenge, first, run({ shots: 3 }));
    const store = memoryStore();
    await runBenchmark(arcChallenge, respondent(), run({ shots: 3, store, limit: 20 }));
    const rest = respondent();
    await runBenchmark(arcChallenge, rest, run({ shots: 3, store }));
    expect(rest.asked.map(({ context }) => context)).toEqual(first.asked.slice(20).map(({ context }) => context));
    expect(first.asked[0]?.context).toMatch(/^(Question: example \d+\nAnswer: right\n\n){3}Question: q 0\nAnswer:$/);
  });

  it('never shows an item its own answer where examples come from the rows that are asked', async () => {
    const asked = respondent();
    const rows = rowsOf(12).map(({ line, value }) => ({ line, value: { ...value, query: String(value.question) } }));
    const result = await runBenchmark(hellaswag, asked, run({ rows, exampleRows: [], shots: 10 }));
    asked.asked.forEach(({ context }, place) => {
      expect(context.split('\n\n')).toHaveLength(11);
      expect(context.split('\n\n').filter((each) => each.startsWith(`q ${place} `))).toEqual([]);
    });
    expect(result.warnings.join()).toContain('no training rows');
  });

  describe('of a benchmark with groups', () => {
    const rowsOfSubject = (subject: string, count: number, answer: number) =>
      Array.from({ length: count }, (_, i) => ({
        line: i + 1,
        value: { question: `${subject} ${i}`, subject, choices: ['w', 'x', 'y', 'z'], answer },
      }));
    // The first choice is likeliest: all of anatomy is right, nothing of law.
    const rows = [...rowsOfSubject('anatomy', 3, 0), ...rowsOfSubject('professional_law', 1, 2)];
    const exampleRows = [...rowsOfSubject('professional_law', 2, 1), ...rowsOfSubject('anatomy', 3, 3)];

    it('shows each item the first examples of its own group, after its opening line', async () => {
      const asked = respondent();
      await runBenchmark(mmlu, asked, run({ rows, exampleRows, shots: 2 }));
      const [first, , , last] = asked.asked.map(({ context }) =>
        context.split('\n').filter((line) => !/^.\. /.test(line)),
      );
      expect(first?.[0]).toContain('about anatomy.');
      expect(first?.filter((line) => line !== '').slice(1)).toEqual([
        'anatomy 0',
        'Answer: D',
        'anatomy 1',
        'Answer: D',
        'anatomy 0',
        'Answer:',
      ]);
      expect(last?.[2]).toBe('professional_law 0');
    });

    it('states numbers of each group, and of all by item', async () => {
      const { metrics, groups } = await runBenchmark(mmlu, respondent(), run({ rows, exampleRows, shots: 2 }));
      expect(metrics.acc).toMatchObject({ value: 0.75, count: 4 });
      expect(Object.keys(groups)).toEqual(['anatomy', 'humanities', 'professional_law', 'stem']);
      expect(groups.stem?.acc).toMatchObject({ value: 1, count: 3 });
    });

    it('asks the first rows of each group under a limit', async () => {
      const { items } = await runBenchmark(mmlu, respondent(), run({ rows, exampleRows, shots: 0, limit: 2 }));
      expect(items.map(({ groups }) => groups[0])).toEqual(['anatomy', 'anatomy', 'professional_law']);
    });

    it('names the group that has too few examples', async () => {
      const few = run({ rows, exampleRows, shots: 3 });
      await expect(runBenchmark(mmlu, respondent(), few)).rejects.toThrow('3 examples of professional_law');
    });
  });

  it('goes on where it failed, and asks the same nothing twice', async () => {
    const store = memoryStore();
    const failing = respondent({ failAfter: 16 });
    await expect(runBenchmark(arcChallenge, failing, run({ store }))).rejects.toThrow('out of memory');
    const second = respondent();
    const result = await runBenchmark(arcChallenge, second, run({ store }));
    expect(result).toMatchObject({ fromStore: 16, metrics: { acc: { count: 40 } } });
    expect(second.asked).toHaveLength(24);
    const third = respondent();
    expect(await runBenchmark(arcChallenge, third, run({ store }))).toMatchObject({ fromStore: 40 });
    expect(third.asked).toEqual([]);
  });

  it('asks another model, or with other examples, anew', async () => {
    const store = memoryStore();
    await runBenchmark(arcChallenge, respondent(), run({ store }));
    expect(await runBenchmark(arcChallenge, respondent({ identity: 'other' }), run({ store }))).toMatchObject({
      fromStore: 0,
    });
    expect(await runBenchmark(arcChallenge, respondent(), run({ store, shots: 1 }))).toMatchObject({ fromStore: 0 });
  });

  it('names rows without a right answer and prompts that do not fit, and scores neither as wrong', async () => {
    const rows = [
      ...rowsOf(2),
      { line: 3, value: { question: 'no gold', choices: ['a', 'b'] } },
      { line: 4, value: { question: 'too long', choices: ['a', 'b'], gold: 0 } },
      { line: 5, value: { question: 'cut', choices: ['a', 'b'], gold: 0 } },
    ];
    const result = await runBenchmark(arcChallenge, respondent(), run({ rows }));
    expect(result).toMatchObject({
      metrics: { acc: { value: 1, count: 3 } },
      unusable: [
        { line: 3, problem: 'it does not say which choice is right' },
        { line: 4, problem: 'a choice does not fit' },
      ],
      cutItems: 1,
    });
    expect(result.warnings).toHaveLength(2);
  });

  it('names each of equal rows that do not fit', async () => {
    const row = { question: 'too long', choices: ['a', 'b'], gold: 0 };
    const rows = [1, 2].map((line) => ({ line, value: row }));
    const { unusable } = await runBenchmark(arcChallenge, respondent(), run({ rows }));
    expect(unusable.map(({ line }) => line)).toEqual([1, 2]);
  });

  it('stops between two answers and keeps those that are there', async () => {
    const store = memoryStore();
    const stop = new AbortController();
    const stopped = runBenchmark(arcChallenge, respondent(), {
      ...run({ store }),
      signal: stop.signal,
      progress: (done) => done === 5 && stop.abort(new Error('stopped')),
    });
    await expect(stopped).rejects.toThrow('stopped');
    expect(await runBenchmark(arcChallenge, respondent(), run({ store }))).toMatchObject({ fromStore: 5 });
  });

  it('says that there are too few examples', async () => {
    const few = run({ shots: 25, exampleRows: rowsOf(5) });
    await expect(runBenchmark(arcChallenge, respondent(), few)).rejects.toMatchObject({ code: 'EVALUATION_SHOTS' });
  });

  it('scores generated answers', async () => {
    const rows = [{ line: 1, value: { question: 'two and two', answer: '#### 4' } }];
    const { metrics } = await runBenchmark(gsm8kCot, respondent(), run({ rows, shots: 8 }));
    expect(metrics['exact_match,strict-match']?.value).toBe(1);
  });
});

describe('the file of answers', () => {
  const opened = (name: string): AnswerStore => openAnswerStore(join(folder, name));

  it('has what was put into it when it is opened again', () => {
    const store = opened('answers.db');
    store.put([{ key: 'a', answer: '1' }]);
    store.close();
    const again = opened('answers.db');
    expect([again.get('a'), again.get('b')]).toEqual(['1', null]);
    again.close();
  });

  it('is never a file of something else', () => {
    writeFileSync(
      join(folder, 'notes.txt'),
      'my notes, which are not a database at all, and long enough to be looked at',
    );
    expect(() => opened('notes.txt')).toThrow(expect.objectContaining({ code: 'EVALUATION_STORE' }));
  });
});
