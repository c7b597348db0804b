/**
 * @file The work of `selm eval mt-bench MODEL --judge`: both turns of all questions at their category's temperature, each rated by the
 * judge, with the reference where there is one.
 */
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type Grading, gradingsOf } from '../../evaluate/mt-bench/judging.ts';
import { type MtBenchResult, mtBenchResults } from '../../evaluate/mt-bench/judgments.ts';
import { mtBenchQuestions } from '../../evaluate/mt-bench/questions.ts';
import { answerQuestions, rateTurns } from '../../evaluate/mt-bench/run.ts';
import { createFile } from '../../files/new-file.ts';
import { type EvalJudgeOptions, type EvalJudges, openEvalJudge } from './judge.ts';
import { type OutputModelOptions, withOutputModel } from './output-model.ts';
import type { SharedListening } from './stop.ts';

/** Options that say how long a model's answers may be, and where the judgments are kept. */
export interface MtBenchAnswerOptions extends OutputModelOptions {
  maxNewTokens: number;
  writeJudgments?: string;
}

/** A row of FastChat's model_judgment file. */
interface JudgmentRow {
  question_id: number;
  model: string;
  judge: [string, string];
  turn: 1 | 2;
  judgment: string;
  /** -1 where the judge gave none. */
  score: number;
}

/** Averages of a model. Throws UsageError, JudgeError (its answers are kept in --answers), or InterruptedError. */
export async function judgedMtBench(
  model: string,
  options: MtBenchAnswerOptions & EvalJudgeOptions,
  listening: SharedListening,
): Promise<[string, MtBenchResult][]> {
  const { signal, say } = listening;
  const judges = openEvalJudge(options, { signal, say });
  try {
    const answered = await withOutputModel(model, options, listening, async (answering) => {
      const answers = await answerQuestions(answering, mtBenchQuestions(), options.maxNewTokens);
      say(`${answering.counts.kept} of ${answering.counts.asked} answers were kept from before`);
      return answers;
    });
    const unanswered = answered.flatMap(({ question, problem }) =>
      problem === null ? [] : [{ line: question.id, problem: `question ${question.id}: ${problem}` }],
    );
    const rows = await judge(gradingsOf(answered), judges, { model: basename(model), judge: options.judge, signal });
    if (options.writeJudgments !== undefined) {
      const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
      await createFile(options.writeJudgments, async (temporary) => writeFileSync(temporary, text));
    }
    const records = rows.map((value, place) => ({ line: place + 1, value: { ...value } }));
    return [...mtBenchResults({ records, problems: unanswered }, 'the judgments')];
  } finally {
    await judges.close();
  }
}

async function judge(
  gradings: readonly Grading[],
  judges: EvalJudges,
  names: { model: string; judge: string; signal: AbortSignal },
): Promise<JudgmentRow[]> {
  const rows: JudgmentRow[] = [];
  for await (const { grading, rating, judgment } of rateTurns(gradings, judges)) {
    names.signal.throwIfAborted();
    const { question, turn, prompt } = grading;
    rows.push({
      ...{ question_id: question.id, model: names.model, judge: [names.judge, prompt], turn },
      ...{ judgment, score: rating ?? -1 },
    });
  }
  return rows;
}
