/**
 * @file MT-Bench's scores from the judge's answers (Zheng et al. 2023, https://arxiv.org/abs/2306.05685; FastChat's
 * `show_result`): averages by turn, over all, and by category. Pure.
 */
import { DataError } from '../../errors.ts';
import { ratingIn } from '../../rank/judge/reading.ts';
import { numberOf, type ResultFile, textOf } from '../records.ts';

/** Categories in the order of their ten questions each, from question 81 on. */
export const CATEGORIES = [
  'writing',
  'roleplay',
  'reasoning',
  'math',
  'coding',
  'extraction',
  'stem',
  'humanities',
] as const;
const FIRST_QUESTION = 81;
const QUESTIONS_A_CATEGORY = 10;

/** Averages over the judgments with a rating; null where there is none. */
export interface MtBenchAverages {
  turn1: number | null;
  turn2: number | null;
  /** Over all rated judgments together, not the mean of the turns. */
  average: number | null;
  rows: number;
  /** Judgments without a rating: in `rows`, in no average. */
  unparsed: number;
}

export interface MtBenchResult extends MtBenchAverages {
  categories: Record<string, MtBenchAverages>;
  /** Question and turn of the judgments without a rating, and lines that are no judgment. */
  problems: { line: number; problem: string }[];
}

interface Judgment {
  question: number;
  turn: 1 | 2;
  /** Null where the judge gave none. */
  rating: number | null;
}

/** Results by model; files without the model's name have one, "". DataError MT_BENCH_FILE. */
export function mtBenchResults({ records, problems }: ResultFile, file: string): Map<string, MtBenchResult> {
  const byModel = new Map<string, { judgments: Judgment[]; problems: MtBenchResult['problems'] }>();
  for (const { line, value } of records) {
    const model = textOf(value.model) ?? '';
    const own = byModel.get(model) ?? { judgments: [], problems: [] };
    byModel.set(model, own);
    const judgment = judgmentOf(value);
    if (typeof judgment === 'string') {
      own.problems.push({ line, problem: judgment });
      continue;
    }
    own.judgments.push(judgment);
    if (judgment.rating === null) {
      own.problems.push({
        line,
        problem: `question ${judgment.question}, turn ${judgment.turn}: no rating in the judgment`,
      });
    }
  }
  if (![...byModel.values()].some(({ judgments }) => judgments.length > 0)) {
    throw new DataError(
      'MT_BENCH_FILE',
      `Cannot use ${file} as judgments of MT-Bench: no row has question_id, turn and a judgment or score: give FastChat's model_judgment file`,
      { details: { file } },
    );
  }
  return new Map([...byModel].map(([model, own]) => [model, resultOf(own.judgments, [...problems, ...own.problems])]));
}

function resultOf(judgments: readonly Judgment[], problems: MtBenchResult['problems']): MtBenchResult {
  const categories = CATEGORIES.map((name, place) => {
    const first = FIRST_QUESTION + QUESTIONS_A_CATEGORY * place;
    const own = judgments.filter(({ question }) => question >= first && question < first + QUESTIONS_A_CATEGORY);
    return [name, averagesOf(own)] as const;
  });
  const present = categories.filter(([, { rows }]) => rows > 0);
  return { ...averagesOf(judgments), categories: Object.fromEntries(present), problems };
}

function averagesOf(judgments: readonly Judgment[]): MtBenchAverages {
  const ratings = judgments.flatMap(({ turn, rating }) => (rating === null ? [] : [{ turn, rating }]));
  const mean = (values: readonly { rating: number }[]): number | null =>
    values.length === 0 ? null : values.reduce((sum, { rating }) => sum + rating, 0) / values.length;
  return {
    turn1: mean(ratings.filter(({ turn }) => turn === 1)),
    turn2: mean(ratings.filter(({ turn }) => turn === 2)),
    average: mean(ratings),
    rows: judgments.length,
    unparsed: judgments.length - ratings.length,
  };
}

/** A row as a judgment, or why it is none. The text counts where there is one; else the score that was read from it. */
function judgmentOf(value: Record<string, unknown>): Judgment | string {
  const question = numberOf(value.question_id);
  const turn = numberOf(value.turn);
  if (question === null || !Number.isSafeInteger(question)) return 'it has no question_id';
  if (turn !== 1 && turn !== 2) return `its turn is ${JSON.stringify(value.turn ?? null)}, and must be 1 or 2`;
  const text = textOf(value.judgment);
  if (text !== null) return { question, turn, rating: ratingIn(text) };
  const score = numberOf(value.score);
  if (score === null || Number.isNaN(score)) return 'it has neither a judgment nor a score';
  return { question, turn, rating: score === -1 ? null : score };
}
