/** @file What each benchmark makes of a row and of an answer. The harness itself is met in test/benchmarks.test.ts. */
import { describe, expect, it } from 'vitest';
import type { Benchmark, BenchmarkItem, Scores } from '../benchmark.ts';
import { arcChallenge } from './arc.ts';
import { eqBench, withoutRevision } from './eq-bench.ts';
import { gsm8k, gsm8kCot } from './gsm8k.ts';
import { capitalised, cleaned, hellaswag } from './hellaswag.ts';
import { mmlu } from './mmlu.ts';
import { openBookQa } from './openbookqa.ts';
import { truthfulQaMc1, truthfulQaMc2 } from './truthfulqa.ts';

function itemOf(benchmark: Benchmark, row: Record<string, unknown>): BenchmarkItem {
  const item = benchmark.readItem(row);
  if ('problem' in item) throw new Error(item.problem);
  return item;
}

function scoreOf(benchmark: Benchmark, row: Record<string, unknown>, answer: number[] | string): Scores {
  const { question } = itemOf(benchmark, row);
  if (question.kind === 'choices' && typeof answer !== 'string') return question.score(answer);
  if (question.kind === 'generation' && typeof answer === 'string') return question.score(answer);
  throw new Error('An answer of another kind');
}

describe('HellaSwag', () => {
  const row = {
    activity_label: 'Baking',
    ctx_a: 'A cook [header] stirs.',
    ctx_b: 'then SHE',
    endings: ['sings [title] a  song', 'waits'],
    label: '1',
  };

  it('makes its text of activity and scene, cleaned, with the second part in lower case', () => {
    const { text, target, question } = itemOf(hellaswag, row);
    expect(text).toBe('Baking: A cook stirs. Then she');
    expect(target).toBe('waits');
    expect(question).toMatchObject({ choices: ['sings. a song', 'waits'] });
  });

  it('cleans as the harness does: two spaces become one, once', () => {
    expect(cleaned('  a [title] b [x]   c ')).toBe('a. b  c');
    expect(capitalised('hELLO World')).toBe('Hello world');
  });

  it('reads rows whose text is made already', () => {
    expect(itemOf(hellaswag, { query: 'q', choices: ['a', 'b'], gold: 0 })).toMatchObject({ text: 'q', target: 'a' });
  });
});

describe('accuracies', () => {
  const row = {
    question: 'q',
    choices: { text: ['long answer', 'no', 'né😀'], label: ['A', 'B', 'C'] },
    answerKey: 'A',
  };

  it('take the likeliest, and the likeliest by code point; the first of equals', () => {
    expect(scoreOf(arcChallenge, row, [-11, -3, -9])).toEqual({ acc: 0, acc_norm: 1 });
    expect(scoreOf(arcChallenge, row, [-2, -2, -9])).toEqual({ acc: 1, acc_norm: 1 });
    expect(scoreOf(arcChallenge, { ...row, answerKey: 'C' }, [-11, -2, -2.9])).toEqual({ acc: 0, acc_norm: 1 });
  });

  it('are of the choices under an answer key with a space before it', () => {
    expect(scoreOf(openBookQa, { ...row, question_stem: 'q', answerKey: ' B' }, [-9, -1, -9])).toMatchObject({
      acc: 1,
    });
  });

  it.each([
    ['no key', { ...row, answerKey: '' }],
    ['a key of no choice', { ...row, answerKey: 'D' }],
    ['a place of no choice', { question: 'q', choices: ['a', 'b'], gold: 2 }],
    ['an empty label', { question: 'q', choices: ['a', 'b'], label: '' }],
  ])('are none of a row with %s', (_, bad) => {
    expect(arcChallenge.readItem(bad)).toEqual({ problem: 'it does not say which choice is right' });
  });
});

describe('MMLU', () => {
  const row = { question: ' Which? ', subject: 'us_foreign_policy', choices: ['w', 'x', 'y', 'z'], answer: 2 };

  it('lists the choices in the question and asks for a letter, under a line that names the subject', () => {
    expect(itemOf(mmlu, row)).toMatchObject({
      opening: 'The following are multiple choice questions (with answers) about us foreign policy.\n\n',
      text: 'Which?\nA. w\nB. x\nC. y\nD. z\nAnswer:',
      target: 'C',
      groups: ['us_foreign_policy', 'social_sciences'],
    });
    expect(scoreOf(mmlu, row, [-3, -2, -1, -4])).toEqual({ acc: 1 });
    expect(scoreOf(mmlu, row, [-1, -2, -1, -4])).toEqual({ acc: 0 });
  });

  it.each([
    ['its subject "cooking" is none of MMLU\'s', { ...row, subject: 'cooking' }],
    ['it has 2 choices in place of 4', { ...row, choices: ['x', 'y'], answer: 1 }],
    ['it does not say which choice is right', { ...row, answer: null }],
  ])('says that %s', (problem, bad) => {
    expect(mmlu.readItem(bad)).toEqual({ problem });
  });
});

describe('TruthfulQA', () => {
  const targets = { choices: ['yes', 'no', 'perhaps'], labels: [1, 0, 1] };
  const row = { question: 'Is it?', mc1_targets: { choices: ['yes', 'no'], labels: [1, 0] }, mc2_targets: targets };

  it('asks after six fixed questions', () => {
    const { text } = itemOf(truthfulQaMc1, row);
    expect(text.startsWith('Q: What is human life expectancy in the United States?\nA: Human life')).toBe(true);
    expect(text.endsWith('Barcelona, Spain.\n\nQ: Is it?\nA:')).toBe(true);
  });

  it('counts the likeliest answer, and the share of true ones, also where probabilities vanish', () => {
    expect(scoreOf(truthfulQaMc1, row, [-5, -6])).toEqual({ acc: 1 });
    const share = (Math.exp(-1) + Math.exp(-3)) / (Math.exp(-1) + Math.exp(-2) + Math.exp(-3));
    expect(scoreOf(truthfulQaMc2, row, [-1, -2, -3]).acc).toBeCloseTo(share, 12);
    expect(scoreOf(truthfulQaMc2, row, [-2001, -2002, -2003]).acc).toBeCloseTo(share, 12);
  });

  it('reads labels by answer, and names a question without a true answer', () => {
    const { mc1_targets: _, ...rest } = row;
    expect(itemOf(truthfulQaMc1, { ...rest, mc1_targets: { no: 0, yes: 1 } }).target).toBe('yes');
    expect(truthfulQaMc1.readItem({ ...rest, mc1_targets: { no: 0 } })).toHaveProperty('problem');
  });
});

describe('GSM8K', () => {
  const row = { question: 'How many?', answer: 'He has 1,000.\n#### 1,234' };

  it.each([
    ['#### 1234\nmore #### 7', 1, 0],
    ['so $1,234.', 0, 1],
    ['The answer is 1234', 0, 1],
    ['no number', 0, 0],
  ])('reads %j by the first #### number, and by the last number', (answer, strict, flexible) => {
    const scores = scoreOf(gsm8k, row, answer);
    expect(scores['exact_match,strict-match']).toBe(strict);
    expect(scores['exact_match,flexible-extract']).toBe(flexible);
  });

  it('tells an answer that gives no number from a wrong one', () => {
    expect(scoreOf(gsm8k, row, 'hm')).toMatchObject({ answered: 0 });
    expect(scoreOf(gsm8kCot, row, 'The answer is 5.')).toMatchObject({ answered: 1, 'exact_match,strict-match': 0 });
    expect(scoreOf(gsm8kCot, row, 'The answer is $1,234.')).toMatchObject({ 'exact_match,flexible-extract': 1 });
  });

  it('names a row whose answer has no number', () => {
    expect(gsm8k.readItem({ question: 'q', answer: 'twelve' })).toHaveProperty('problem');
  });
});

describe('EQ-Bench', () => {
  const reference =
    "{'emotion1': 'Glad', 'emotion1_score': '2', 'emotion2': 'Sad', 'emotion2_score': 0, 'emotion3': 'Calm', 'emotion3_score': 5, 'emotion4': 'Cross', 'emotion4_score': '7'}";
  const row = { prompt: 'p', reference_answer_fullscale: reference };

  it('scores an unreadable answer 0 for the harness, and leaves it out for EQ-Bench', () => {
    expect(scoreOf(eqBench, row, 'Glad: 2\nSad: 0\nCalm: 5\nCross: 7')).toEqual({
      eqbench: 100,
      eqbench_parsed: 100,
      percent_parseable: 100,
    });
    expect(scoreOf(eqBench, row, 'Glad: 2')).toEqual({ eqbench: 0, percent_parseable: 0 });
  });

  it('asks for one answer where the prompt asks for a revised one too', () => {
    const prompt =
      'Rate. Then critique your answer by thinking it through step by step. Finally, give your revised scores.\n\nFirst pass scores:\nGlad: <score>\n\nCritique: <your critique here>\n\nRevised scores:\nGlad: <revised score>\n\n[End of answer]\n\nRemember.\n';
    expect(withoutRevision(prompt)).toBe('Rate.\n\nGlad: <score>\n\n\n[End of answer]\n\nRemember.\n\nYour answer:\n');
    expect(withoutRevision('plain')).toBe('plain');
  });
});
