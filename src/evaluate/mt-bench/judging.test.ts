import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { conversationText, fillPrompt, loadRatingPrompt } from '../../rank/judge/prompt.ts';
import { evaluationData, hasEvaluationData } from '../evaluation-data.testing.ts';
import { type Grading, gradingsOf, MT_BENCH_PROMPTS, mtBenchPromptPath } from './judging.ts';
import { type MtBenchQuestion, mtBenchQuestions, temperatureOf } from './questions.ts';

const plain: MtBenchQuestion = { id: 81, category: 'writing', turns: ['Write.', 'Again.'], reference: null };
const maths: MtBenchQuestion = { id: 111, category: 'math', turns: ['1 + 1?', 'And twice?'], reference: ['2', '4'] };

/** What the judge reads. */
function messagesOf({ prompt, item }: Grading): { system: string; user: string } {
  const values = new Map([
    ['prompt', conversationText(item.prompt)],
    ['response', item.candidates[0]?.text ?? ''],
  ]);
  const [system, user] = fillPrompt(loadRatingPrompt(mtBenchPromptPath(prompt)), values);
  return { system: system?.content ?? '', user: user?.content ?? '' };
}

describe('the questions', () => {
  it('are 80 of two turns in eight categories, thirty with references', () => {
    const questions = mtBenchQuestions();
    expect(questions.map(({ id }) => id)).toEqual(Array.from({ length: 80 }, (_, i) => 81 + i));
    expect(new Set(questions.map(({ category }) => category)).size).toBe(8);
    const referenced = questions.filter(({ reference }) => reference !== null).map(({ category }) => category);
    expect([referenced.length, new Set(referenced)]).toEqual([30, new Set(['reasoning', 'math', 'coding'])]);
  });

  it('are answered warm where they ask for invention, and greedily where they have one answer', () => {
    expect(['writing', 'roleplay', 'stem', 'humanities', 'math', 'extraction'].map(temperatureOf)).toEqual([
      0.7, 0.7, 0.1, 0.1, 0, 0,
    ]);
  });
});

describe('gradingsOf', () => {
  it('rates each turn once, mathematics with its reference, the second turn with the conversation', () => {
    const answered = [plain, maths].map((question) => ({
      question,
      answers: ['A', 'B'] as [string, string],
      problem: null,
    }));
    expect(gradingsOf(answered).map(({ prompt, turn }) => [prompt, turn])).toEqual([
      ['single-v1', 1],
      ['single-v1-multi-turn', 2],
      ['single-math-v1', 1],
      ['single-math-v1-multi-turn', 2],
    ]);
  });

  it('asks nothing about a turn that was not answered', () => {
    const cut = { question: plain, answers: ['A', null] as [string, null], problem: 'too long' };
    expect(gradingsOf([cut]).map(({ turn }) => turn)).toEqual([1]);
    expect(gradingsOf([{ ...cut, answers: [null, null] }])).toEqual([]);
  });

  it('shows both references and the whole conversation before the second answer', () => {
    const [, second] = gradingsOf([{ question: maths, answers: ['two', 'four'], problem: null }]);
    const { user } = messagesOf(second as Grading);
    expect(user).toBe(`<|The Start of Reference Answer|>

### User:
1 + 1?

### Reference answer:
2

### User:
And twice?

### Reference answer:
4

<|The End of Reference Answer|>


<|The Start of Assistant A's Conversation with User|>

### User:
1 + 1?

### Assistant A:
two

### User:
And twice?

### Assistant A:
four

<|The End of Assistant A's Conversation with User|>`);
  });
});

const original = evaluationData('mt_bench', 'judge_prompts.jsonl');

describe.skipIf(!hasEvaluationData('mt_bench') || !existsSync(original))(
  'FastChat’s prompts ($SELM_EVALUATION_DATA)',
  () => {
    it('are what the judge reads, to the character', () => {
      const prompts = new Map(
        readFileSync(original, 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as { name: string; system_prompt: string; prompt_template: string })
          .map((each) => [each.name, each]),
      );
      const gradings = [plain, maths].flatMap((question) =>
        gradingsOf([{ question, answers: ['first {answer}', 'second'], problem: null }]),
      );
      expect(new Set(gradings.map(({ prompt }) => prompt))).toEqual(new Set(MT_BENCH_PROMPTS));
      for (const grading of gradings) {
        const { question, turn, prompt } = grading;
        const values: Record<string, string> = {
          question: question.turns[0],
          answer: 'first {answer}',
          ref_answer_1: question.reference?.[0] ?? '',
          ref_answer_2: question.reference?.[1] ?? '',
          question_1: question.turns[0],
          question_2: question.turns[1],
          answer_1: 'first {answer}',
          answer_2: 'second',
        };
        const { system_prompt = '', prompt_template = '' } = prompts.get(prompt) ?? {};
        const user = prompt_template.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
        expect(messagesOf(grading), `${prompt} ${turn}`).toEqual({ system: system_prompt, user });
      }
    });
  },
);
