/**
 * @file The work of `selm eval mt-bench MODEL --judge`: both turns of all questions at their category's temperature, each rated by the
 * judge, with the reference where there is one.
 */
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import {
  type AnsweredQuestion,
  type Grading,
  gradingsOf,
  MT_BENCH_PROMPTS,
  mtBenchPromptPath,
} from '../../evaluate/mt-bench/judging.ts';
import { type MtBenchResult, mtBenchResults } from '../../evaluate/mt-bench/judgments.ts';
import { type MtBenchQuestion, mtBenchQuestions, temperatureOf } from '../../evaluate/mt-bench/questions.ts';
import type { OutputModel } from '../../evaluate/outputs.ts';
import { createFile } from '../../files/new-file.ts';
import { parseCompletion } from '../../rank/judge/reading.ts';
import type { Judgement, RankItem } from '../../rank/ranker.ts';
import type { AnswerStore } from '../../rank/services.ts';
import { type EvalJudges, openEvalJudge } from './judge.ts';
import type { EvalMtBenchOptions } from './mt-bench.ts';
import { withOutputModel } from './output-model.ts';
import type { Listening } from './stop.ts';

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

const JUDGE_TOKENS = 2048;

/** Averages of a model. Throws UsageError, JudgeError (its answers are kept in --answers), or InterruptedError. */
export async function judgedMtBench(
  model: string,
  options: EvalMtBenchOptions & { judge: string },
  { signal, say }: Listening,
): Promise<[string, MtBenchResult][]> {
  const judges = openEvalJudge(options, { signal, say });
  try {
    const answered = await withOutputModel(model, { store: options.store, signal }, async (answering) => {
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

/** The second turn sees the model's own answer to the first. */
async function answerQuestions(
  model: OutputModel,
  questions: readonly MtBenchQuestion[],
  maxNewTokens: number,
): Promise<AnsweredQuestion[]> {
  const answered: AnsweredQuestion[] = [];
  const temperatures = new Set(questions.map(({ category }) => temperatureOf(category)));
  for (const temperature of temperatures) {
    const own = questions.filter(({ category }) => temperatureOf(category) === temperature);
    // FastChat's seed is the number of the choice.
    const settings = { temperature, topP: 1, maxNewTokens, seed: 0 };
    const first = await model.sample(
      own.map(({ turns }) => model.asPrompt(turns[0])),
      settings,
    );
    const going = own.flatMap((question, i) => {
      const answer = first[i] ?? null;
      return answer === null ? [] : [{ question, answer }];
    });
    const second = await model.sample(
      going.map(({ question: { turns }, answer }) => model.asConversation([turns[0], answer, turns[1]])),
      settings,
    );
    own.forEach((question, i) => {
      const place = going.findIndex((each) => each.question === question);
      const answers: AnsweredQuestion['answers'] = [first[i] ?? null, place < 0 ? null : (second[place] ?? null)];
      const missing = answers.indexOf(null);
      const problem = missing < 0 ? null : `turn ${missing + 1} does not fit the model's context`;
      answered.push({ question, answers, problem });
    });
  }
  return answered.sort((a, b) => a.question.id - b.question.id);
}

async function judge(
  gradings: readonly Grading[],
  judges: EvalJudges,
  names: { model: string; judge: string; signal: AbortSignal },
): Promise<JudgmentRow[]> {
  const rows: JudgmentRow[] = [];
  for (const prompt of MT_BENCH_PROMPTS) {
    const own = gradings.filter((each) => each.prompt === prompt);
    if (own.length === 0) continue;
    const ask = { kind: 'rating', prompt: mtBenchPromptPath(prompt) };
    const ranker = await judges.open({ temperature: 0, maxTokens: JUDGE_TOKENS, ask });
    let next = 0;
    for await (const { scores, judgements } of ranker.rank(itemsOf(own))) {
      names.signal.throwIfAborted();
      const grading = own[next++];
      if (grading === undefined) throw new Error('A rating of nothing');
      rows.push({
        ...{ question_id: grading.question.id, model: names.model, judge: [names.judge, prompt], turn: grading.turn },
        judgment: textOf(judgements, judges.answers),
        score: scores?.[0] ?? -1,
      });
    }
  }
  return rows;
}

async function* itemsOf(gradings: readonly Grading[]): AsyncGenerator<RankItem> {
  for (const { item } of gradings) yield item;
}

/** What the judge wrote; nothing where its server gave no answer. */
function textOf(judgements: readonly Judgement[] | undefined, answers: AnswerStore): string {
  const body = answers.get(judgements?.[0]?.answerKey ?? '');
  const answer = body === null ? null : parseCompletion(body);
  return answer === null || 'problem' in answer ? '' : answer.text;
}
