/**
 * @file The stage that has a judge rate a model's two turns on the 80 questions of MT-Bench, as `selm eval mt-bench MODEL --judge` does.
 * Turns that do not fit and ratings that were not given are named, and count nowhere.
 */
import { metricsOf } from '../../evaluate/benchmarks/estimates.ts';
import { type AnsweredQuestion, gradingsOf } from '../../evaluate/mt-bench/judging.ts';
import { mtBenchQuestions } from '../../evaluate/mt-bench/questions.ts';
import { answerQuestions, type Rated, rateTurns } from '../../evaluate/mt-bench/run.ts';
import { mean } from '../../evaluate/statistics.ts';
import { sha256 } from '../../files/hash.ts';
import type { Ranker } from '../../rank/ranker.ts';
import { memoryAnswers } from '../../rank/services.ts';
import { judgeOf } from '../../recipe/evaluate.ts';
import type { MtBenchSettings, Recipe } from '../../recipe/schema.ts';
import type { BenchmarkScores } from '../../store/benchmark-scores.ts';
import { type IterationContext, runStage } from '../stages/stage.ts';
import { judgeAnswers, openProtocolJudge, withOutputs } from './judges.ts';
import { canMeasure } from './measured.ts';

/** Opens the judge once, so that what is wrong with it shows before anything is sampled. RecipeError, RankerError. */
export async function checkMtBench({ judge, mtBench }: Recipe['evaluate']): Promise<void> {
  if (mtBench === null) return;
  const protocol = { temperature: 0, maxTokens: 1, ask: { kind: 'rating' } };
  await (await openProtocolJudge(judgeOf(judge, mtBench), protocol, { answers: () => memoryAnswers() })).close();
}

/** Has a model's turns rated, unless that was done with the same judge and settings. */
export async function rateModel(context: IterationContext, modelDirectory: string): Promise<void> {
  const { recipe, ledger, iteration, announce } = context;
  const { mtBench } = recipe.evaluate;
  if (mtBench === null || (iteration === 0 && !mtBench.base)) return;
  const settings = sha256(
    JSON.stringify([judgeOf(recipe.evaluate.judge, mtBench).model, mtBench.maxNewTokens, mtBench.limit]),
  );
  const measure = { kind: 'mt-bench', settings, modelDirectory, leftOut: 'it is not rated on MT-Bench' } as const;
  if (!canMeasure(context, measure)) return;
  await runStage(context, 'mt-bench', async () => {
    const scores = await ratedScores(context, mtBench, modelDirectory);
    ledger.putRecord(iteration, 'mt-bench', { settings, results: [scores] });
    const [first] = scores.unusable;
    if (first !== undefined) {
      const text = `MT-Bench: ${scores.unusable.length} turns have no rating and are in no number (the first, question ${first.line}: ${first.problem})`;
      announce({ kind: 'warning', text });
    }
    const found = scores.metrics.average;
    return found === undefined
      ? 'no rating'
      : `average ${found.value.toFixed(2)} [${found.low.toFixed(2)}, ${found.high.toFixed(2)}] of ${found.count} questions`;
  });
}

async function ratedScores(
  context: IterationContext,
  settings: MtBenchSettings,
  modelDirectory: string,
): Promise<BenchmarkScores> {
  const { recipe, ledger, announce, signal } = context;
  const { maxNewTokens, limit } = settings;
  const judge = judgeOf(recipe.evaluate.judge, settings);
  const questions = mtBenchQuestions().slice(0, limit ?? undefined);
  const total = 2 * questions.length;
  announce({ kind: 'stage-started', stage: 'mt-bench', total, done: 0, unit: 'turns' });
  const answered = await withOutputs(context, modelDirectory, (model) =>
    answerQuestions(model, questions, maxNewTokens),
  );
  const answers = judgeAnswers(ledger);
  const opened: Ranker[] = [];
  const rated: Rated[] = [];
  try {
    const open = async (protocol: Parameters<typeof openProtocolJudge>[1]): Promise<Ranker> => {
      const warn = (text: string): void => announce({ kind: 'warning', text });
      const ranker = await openProtocolJudge(judge, protocol, { answers: () => answers, signal, warn });
      opened.push(ranker);
      return ranker;
    };
    for await (const each of rateTurns(gradingsOf(answered), { open, answers })) {
      signal?.throwIfAborted();
      rated.push(each);
      announce({ kind: 'stage-progress', stage: 'mt-bench', done: rated.length, total });
    }
  } finally {
    for (const ranker of opened) await ranker.close();
  }
  const basis = sha256(JSON.stringify([judge.model, maxNewTokens]));
  return scoresOfRated(answered, { rated, basis });
}

/** One item a question, since its turns are not independent: the mean of the ratings that it got, and each turn's. */
function scoresOfRated(
  answered: readonly AnsweredQuestion[],
  { rated, basis }: { rated: readonly Rated[]; basis: string },
): BenchmarkScores {
  const items = answered.flatMap(({ question }) => {
    const ratingOf = (turn: 1 | 2): number | null =>
      rated.find(({ grading }) => grading.question.id === question.id && grading.turn === turn)?.rating ?? null;
    const [turn1, turn2] = [ratingOf(1), ratingOf(2)];
    const given = [turn1, turn2].filter((rating) => rating !== null);
    if (given.length === 0) return [];
    const turns = { ...(turn1 === null ? {} : { turn1 }), ...(turn2 === null ? {} : { turn2 }) };
    return [{ line: question.id, groups: [], scores: { average: mean(given), ...turns } as Record<string, number> }];
  });
  const unanswered = answered.flatMap(({ question, problem }) =>
    problem === null ? [] : [{ line: question.id, problem }],
  );
  const unrated = rated.flatMap(({ grading, rating }) =>
    rating === null ? [{ line: grading.question.id, problem: `turn ${grading.turn} got no rating` }] : [],
  );
  const of = (name: string): number[] => items.map(({ scores }) => scores[name] ?? Number.NaN);
  return {
    ...{ benchmark: 'mt_bench', title: 'MT-Bench', shots: 0, basis, mainMetric: 'average', cutItems: 0 },
    metrics: metricsOf(items),
    unusable: [...unanswered, ...unrated].sort((a, b) => a.line - b.line),
    lines: items.map(({ line }) => line),
    scores: { average: of('average'), turn1: of('turn1'), turn2: of('turn2') },
  };
}
