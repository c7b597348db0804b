/**
 * @file GSM8K (Cobbe et al. 2021, https://arxiv.org/abs/2110.14168): word problems whose answer is a number. Twice, as
 * lm-evaluation-harness has it: with solutions of the data set as examples, and with eight fixed chains of thought (Wei et al.
 * 2022, https://arxiv.org/abs/2201.11903).
 */
import type { Benchmark, BenchmarkItem, Scores } from '../benchmark.ts';
import { CHAINS_OF_THOUGHT } from './gsm8k-chains.ts';

const rows = { hub: 'hub:openai/gsm8k:main/test-*.parquet', file: /^test/ };
const NO_ANSWER = '[invalid]';
const MAX_NEW_TOKENS = 256;

/** 5 worked solutions, ending `#### number`. */
export const gsm8k: Benchmark = {
  name: 'gsm8k',
  title: 'GSM8K (solutions)',
  shots: 5,
  examples: { kind: 'drawn', from: { hub: 'hub:openai/gsm8k:main/train-*.parquet', file: /^train/ }, rule: 'others' },
  rows,
  mainMetric: 'exact_match,strict-match',
  readItem: (row) =>
    itemOf(row, {
      text: (question) => `Question: ${question}\nAnswer:`,
      stops: ['Question:', '</s>', '<|im_end|>'],
      strict: /#### (-?[0-9.,]+)/,
    }),
};

/** 8 fixed chains of thought, ending `The answer is number.` */
export const gsm8kCot: Benchmark = {
  name: 'gsm8k_cot',
  title: 'GSM8K (chain of thought)',
  shots: 8,
  examples: {
    kind: 'fixed',
    items: CHAINS_OF_THOUGHT.map(({ question, chain }) => ({ text: asQuestion(question), target: chain })),
  },
  rows,
  mainMetric: 'exact_match,strict-match',
  readItem: (row) =>
    itemOf(row, {
      text: asQuestion,
      stops: ['Q:', '</s>', '<|im_end|>'],
      strict: /The answer is (-?[0-9.,]+)./,
    }),
};

function asQuestion(question: string): string {
  return `Q: ${question}\nA:`;
}

interface Form {
  text(question: string): string;
  stops: string[];
  strict: RegExp;
}

function itemOf(
  row: Readonly<Record<string, unknown>>,
  { text, stops, strict }: Form,
): BenchmarkItem | { problem: string } {
  const { question, answer } = row;
  if (typeof question !== 'string') return { problem: 'it has no question' };
  if (typeof answer !== 'string' || !/#### *\S/.test(answer)) return { problem: 'its answer has no number after ####' };
  const gold = normalised(answer);
  const matches = (found: string | null): number => (normalised(found ?? NO_ANSWER) === gold ? 1 : 0);
  return {
    text: text(question),
    target: answer,
    question: {
      kind: 'generation',
      stops,
      maxNewTokens: MAX_NEW_TOKENS,
      score(generated): Scores {
        const found = strict.exec(generated)?.[1]?.trim() ?? null;
        return {
          'exact_match,strict-match': matches(found),
          'exact_match,flexible-extract': matches(lastNumber(generated)),
          answered: found === null ? 0 : 1,
        };
      },
    },
  };
}

/** The last thing in a text that looks like a number. */
function lastNumber(text: string): string | null {
  const found = [...text.matchAll(/(-?[$0-9.,]{2,})|(-?[0-9]+)/g)].at(-1);
  return found?.[0].trim() ?? null;
}

/** What two answers are compared by. */
function normalised(answer: string): string {
  return answer
    .replaceAll(',', '')
    .replaceAll('$', '')
    .replaceAll(/.*#### /gs, '')
    .replaceAll(/\.$/g, '')
    .toLowerCase();
}
