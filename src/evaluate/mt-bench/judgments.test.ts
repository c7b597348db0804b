import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { evaluationData, hasEvaluationData } from '../evaluation-data.testing.ts';
import { readResultFile } from '../records.ts';
import { type MtBenchResult, mtBenchResults } from './judgments.ts';

function resultsOf(values: Record<string, unknown>[]): Map<string, MtBenchResult> {
  return mtBenchResults({ records: values.map((value, i) => ({ line: i + 1, value })), problems: [] }, 'made.jsonl');
}

const row = (question_id: number, turn: number, judgment: string) => ({ question_id, turn, judgment });

describe('mtBenchResults', () => {
  it('takes the first rating in double brackets, else in single ones, without holding it to a scale', () => {
    const result = resultsOf([
      row(81, 1, 'As [1] says: [[8.5]], not [[2]].'),
      row(82, 1, 'Rating: [7]'),
      row(83, 1, '[[12]]'),
    ]).get('');
    expect(result?.turn1).toBeCloseTo((8.5 + 7 + 12) / 3, 12);
  });

  it('averages over all rated judgments, not over the turns, and counts the others', () => {
    const result = resultsOf([
      row(81, 1, '[[9]]'),
      row(82, 1, '[[6]]'),
      row(81, 2, '[[3]]'),
      row(82, 2, 'I refuse.'),
    ]).get('');
    expect(result).toMatchObject({ turn1: 7.5, turn2: 3, average: 6, rows: 4, unparsed: 1 });
    expect(result?.problems).toEqual([{ line: 4, problem: 'question 82, turn 2: no rating in the judgment' }]);
  });

  it('averages by category, told by the question', () => {
    const result = resultsOf([row(90, 1, '[[4]]'), row(91, 1, '[[6]]'), row(160, 2, '[[8]]')]).get('');
    expect(Object.entries(result?.categories ?? {}).map(([name, { average }]) => [name, average])).toEqual([
      ['writing', 4],
      ['roleplay', 6],
      ['humanities', 8],
    ]);
  });

  it('keeps models of one file apart, and takes the score where the text is not there', () => {
    const results = resultsOf([
      { question_id: 81, turn: 1, model: 'a', score: 5 },
      { question_id: 81, turn: 1, model: 'b', score: -1 },
    ]);
    expect([...results].map(([model, { turn1, unparsed }]) => [model, turn1, unparsed])).toEqual([
      ['a', 5, 0],
      ['b', null, 1],
    ]);
  });

  it('names rows that are no judgments, and refuses a file without any', () => {
    const result = resultsOf([row(81, 1, '[[5]]'), row(81, 3, '[[5]]'), { question_id: 81, turn: 2 }]).get('');
    expect(result).toMatchObject({ rows: 1, problems: [{ line: 2 }, { line: 3 }] });
    expect(() => resultsOf([{ text: 'no' }])).toThrow(expect.objectContaining({ code: 'MT_BENCH_FILE' }));
  });
});

describe.skipIf(!hasEvaluationData('mt_bench'))('real judgments of GPT-4 ($SELM_EVALUATION_DATA)', () => {
  it('have the scores that FastChat read from them, and the averages', async () => {
    const averages = await readResultFile(evaluationData('mt_bench', 'judgment_averages.csv'));
    const files = readdirSync(evaluationData('mt_bench', 'judgments'));
    for (const file of files) {
      const judgments = await readResultFile(evaluationData('mt_bench', 'judgments', file));
      const fromText = mtBenchResults(judgments, file);
      const scores = judgments.records.map(({ line, value: { judgment: _, ...rest } }) => ({ line, value: rest }));
      expect(fromText).toEqual(mtBenchResults({ records: scores, problems: [] }, file));
      const known = averages.records.find(({ value }) => `${value.file}.jsonl` === file)?.value;
      const [result] = fromText.values();
      for (const key of ['turn1', 'turn2', 'average', 'rows', 'unparsed'] as const) {
        expect(result?.[key], `${file} ${key}`).toBeCloseTo(Number(known?.[key]), 6);
      }
    }
  });
});
