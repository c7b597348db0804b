import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { evaluationData, hasEvaluationData } from '../evaluation-data.testing.ts';
import { readJson, readResultFile } from '../records.ts';
import { eqBenchReferences, eqBenchResult } from './results.ts';
import { questionScore, readIntensities } from './score.ts';

const reference = new Map([
  ['Glad', 0],
  ['Sad', 6],
  ['Calm', 0],
  ['Cross', 7],
]);
const answer = (text: string): number | null => questionScore(readIntensities(text), reference, 'v2');

describe('the score of a question', () => {
  it('is 10 for the authors own answer', () => {
    expect(answer('Glad: 0\nSad: 6\nCalm: 0\nCross: 7')).toBe(10);
  });

  it('takes off 0.7477 of a penalty that is an S curve up to 5 and the distance beyond', () => {
    // 1, 4, 5 and 7 away: 6.5 / (1 + e^3.6), 3.25, 6.5 / (1 + e^-1.2), 7.
    const penalty = 6.5 / (1 + Math.exp(3.6)) + 3.25 + 6.5 / (1 + Math.exp(-1.2)) + 7;
    expect(answer('Glad: 1 Sad: 10 Calm: 5 Cross: 0')).toBeCloseTo(10 - 0.7477 * penalty, 12);
  });

  it('takes the later of two answers about an emotion', () => {
    expect(answer('Glad: 9 Sad: 6 Calm: 0 Cross: 7 Glad: 0')).toBe(10);
  });

  it.each([
    ['an emotion missing', 'Glad: 0 Sad: 6 Calm: 0'],
    ['one too many', 'Glad: 0 Sad: 6 Calm: 0 Cross: 7 Note: 1'],
    ['another name', 'Glad: 0 Sad: 6 Calm: 0 cross: 7'],
    ['words for numbers', 'Glad: none'],
  ])('is none with %s', (_, text) => {
    expect(answer(text)).toBeNull();
  });

  it('scales both answers to 10 in version 1, where all zeros are no answer', () => {
    const even = new Map([...reference.keys()].map((emotion) => [emotion, 2]));
    expect(questionScore(even, reference, 'v1')).toBeCloseTo(
      10 - (5 + 10 * (6 / 13 - 0.25) + 10 * (7 / 13 - 0.25)),
      12,
    );
    expect(questionScore(new Map([...even.keys()].map((emotion) => [emotion, 0])), reference, 'v1')).toBeNull();
  });
});

/** A run in which the first `revised` questions are revised to the authors' answers, and all are first answered with 5. */
function run({ revised = 0, unparsed = 0 }: { revised?: number; unparsed?: number }) {
  const references = [...eqBenchReferences('v2')];
  const respondent_answers = Object.fromEntries(
    references.map(([id, emotions], place) => [
      id,
      {
        first_pass: place < unparsed ? {} : Object.fromEntries([...emotions.keys()].map((emotion) => [emotion, '5'])),
        ...(place < revised ? { revised: Object.fromEntries(emotions) } : {}),
      },
    ]),
  );
  return { eqbench_version: 'v2', iterations: { '1': { respondent_answers } } };
}

describe('the score of a run', () => {
  it('counts revised answers where nearly all are and they are better', () => {
    expect(eqBenchResult(run({ revised: 165 }), 'f')).toMatchObject({ score: 100, parsed: 165 });
    const few = eqBenchResult(run({ revised: 160 }), 'f');
    expect(few).toMatchObject({ parsed: 171, revised: { score: 100, parsed: 160 } });
    expect(few.score).toBe(few.first_pass.score);
  });

  it('leaves unreadable answers out, names them, and says what they would be as zeros', () => {
    const result = eqBenchResult(run({ unparsed: 40 }), 'f');
    expect(result).toMatchObject({ parsed: 131, questions: 171 });
    expect(result.unparsed).toHaveLength(40);
    expect(result.warnings.join()).toContain('failed');
    expect(result.score_with_unparsed_as_zero).toBeCloseTo((result.score * 131) / 171, 10);
  });

  it('reads answers that were kept as text', () => {
    const text = [...(eqBenchReferences('v2').get('1') ?? [])]
      .map(([emotion, value]) => `${emotion}: ${value}`)
      .join('\n');
    const raw_inference = { '1': `First pass scores:\n${text}\n\nCritique: Note: 3\n\nRevised scores:\n${text}` };
    expect(eqBenchResult({ iterations: { '1': { raw_inference } } }, 'f').first_pass).toEqual({
      score: 100,
      parsed: 1,
    });
  });

  it('refuses a file that is none of its program', () => {
    expect(() => eqBenchResult({ score: 50 }, 'f')).toThrow(expect.objectContaining({ code: 'EQ_BENCH_FILE' }));
    expect(() => eqBenchResult(undefined, 'f')).toThrow(expect.objectContaining({ code: 'EQ_BENCH_FILE' }));
  });
});

describe.skipIf(!hasEvaluationData('eq_bench'))('published results ($SELM_EVALUATION_DATA)', () => {
  // Stored scores behave as if made with a constant near 0.7478: up to 0.025 from what the code says.
  it('come out of the stored answers', async () => {
    const table = await readResultFile(evaluationData('eq_bench', 'published_scores.csv'));
    for (const file of readdirSync(evaluationData('eq_bench', 'results'))) {
      const result = eqBenchResult(readJson(evaluationData('eq_bench', 'results', file)), file);
      const known = table.records.find(({ value }) => `${value.model}.json` === file)?.value;
      expect(Math.abs(result.score - Number(known?.published)), file).toBeLessThan(0.025);
      expect(result.score.toFixed(2), file).toBe(known?.recomputed);
      expect(result.parsed, file).toBe(Number(known?.parseable));
    }
  });
});
