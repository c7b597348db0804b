/** @file MT-Bench of a model: both turns of its questions at their category's temperature, and a judge's rating of each turn. */
import { parseCompletion } from '../../rank/judge/reading.ts';
import type { Judgement, Ranker, RankItem } from '../../rank/ranker.ts';
import type { AnswerStore } from '../../rank/services.ts';
import type { OutputModel } from '../outputs.ts';
import { type AnsweredQuestion, type Grading, MT_BENCH_PROMPTS, mtBenchPromptPath } from './judging.ts';
import { type MtBenchQuestion, temperatureOf } from './questions.ts';

/** Settings of the judge for one of FastChat's prompts. */
export interface MtBenchProtocol {
  temperature: number;
  maxTokens: number;
  ask: { kind: 'rating'; prompt: string };
}

/** A judge's rating of one turn. */
export interface Rated {
  grading: Grading;
  /** Null where it gave none. */
  rating: number | null;
  /** What it wrote; nothing where its server gave no answer. */
  judgment: string;
}

const JUDGE_TOKENS = 2048;

/** The second turn sees the model's own answer to the first. */
export async function answerQuestions(
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

/** Ratings prompt by prompt; `open` opens the judge under each one's settings, and closes it with the others. */
export async function* rateTurns(
  gradings: readonly Grading[],
  { open, answers }: { open: (protocol: MtBenchProtocol) => Promise<Ranker>; answers: AnswerStore },
): AsyncGenerator<Rated> {
  for (const prompt of MT_BENCH_PROMPTS) {
    const own = gradings.filter((each) => each.prompt === prompt);
    if (own.length === 0) continue;
    const ask = { kind: 'rating', prompt: mtBenchPromptPath(prompt) } as const;
    const ranker = await open({ temperature: 0, maxTokens: JUDGE_TOKENS, ask });
    let next = 0;
    for await (const { scores, judgements } of ranker.rank(itemsOf(own))) {
      const grading = own[next++];
      if (grading === undefined) throw new Error('A rating of nothing');
      yield { grading, rating: scores?.[0] ?? null, judgment: textOf(judgements, answers) };
    }
  }
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
