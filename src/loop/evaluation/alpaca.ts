/**
 * @file The stage that has a judge compare a model's outputs with a baseline's, as `selm eval alpaca MODEL --judge` does. Outputs and
 * replies are in the ledger when they are there, and are asked for once. What the judge refuses is named, and counts nowhere.
 */
import { DataError } from '../../errors.ts';
import {
  annotationsOfJudged,
  type JudgedPair,
  judgeOutputs,
  matchOutputs,
  readOutputs,
} from '../../evaluate/alpaca/judged.ts';
import { ALPACA_JUDGE, sampleOutputs } from '../../evaluate/alpaca/protocol.ts';
import { metricsOf } from '../../evaluate/benchmarks/estimates.ts';
import { readResultFile } from '../../evaluate/records.ts';
import { sha256 } from '../../files/hash.ts';
import { knownSha256 } from '../../files/known-hashes.ts';
import type { Ranker } from '../../rank/ranker.ts';
import { type AnswerStore, memoryAnswers, type RankerServices } from '../../rank/services.ts';
import type { AlpacaSettings } from '../../recipe/schema.ts';
import type { BenchmarkScores } from '../../store/benchmark-scores.ts';
import { answersIn } from '../rankers.ts';
import { type IterationContext, runStage } from '../stages/stage.ts';
import { openProtocolJudge, withOutputs } from './judges.ts';
import { canMeasure } from './measured.ts';

/** Instructions with a baseline's outputs. */
export interface AlpacaReference {
  rows: ReturnType<typeof readOutputs>;
  sha256: string;
}

/**
 * Reads the baseline and opens the judge once, so that what is wrong with either shows before anything is sampled. DataError
 * ALPACA_EMPTY, or RecipeError and RankerError of the judge.
 */
export async function loadAlpaca(
  settings: AlpacaSettings | null,
  file: string | null,
): Promise<AlpacaReference | null> {
  if (settings === null || file === null) return null;
  const rows = readOutputs(await readResultFile(file)).slice(0, settings.limit ?? undefined);
  if (rows.length === 0) {
    throw new DataError(
      'ALPACA_EMPTY',
      `Cannot compare with ${file}: it has no instructions: its rows need instruction and output`,
      { details: { file } },
    );
  }
  await (await openAlpacaJudge(settings, { answers: () => memoryAnswers() })).close();
  return { rows, sha256: await knownSha256(file) };
}

function openAlpacaJudge({ judge: { read, ...judge } }: AlpacaSettings, services: RankerServices): Promise<Ranker> {
  return openProtocolJudge(judge, { ...ALPACA_JUDGE, ask: { ...ALPACA_JUDGE.ask, read } }, services);
}

/** A model to compare. */
export interface AlpacaInput {
  reference: AlpacaReference | null;
  modelDirectory: string;
}

/** Has a model's outputs judged, unless that was done with the same baseline, judge and settings. */
export async function judgeModel(context: IterationContext, { reference, modelDirectory }: AlpacaInput): Promise<void> {
  const { recipe, ledger, iteration, announce } = context;
  const { alpaca } = recipe.evaluate;
  if (alpaca === null || reference === null || (iteration === 0 && !alpaca.base)) return;
  const { judge, temperature, topP, maxNewTokens, limit } = alpaca;
  const decisive = [judge.model, judge.read, temperature, topP, maxNewTokens, limit, reference.sha256];
  const settings = sha256(JSON.stringify(decisive));
  const measure = { kind: 'alpaca', settings, modelDirectory, leftOut: 'its outputs are not judged' } as const;
  if (!canMeasure(context, measure)) return;
  await runStage(context, 'alpaca', async () => {
    const scores = await judgedScores(context, { alpaca, reference: reference.rows, modelDirectory });
    ledger.putRecord(iteration, 'alpaca', { settings, results: [scores] });
    if (scores.unusable.length > 0) {
      const [first] = scores.unusable;
      const text = `${scores.title}: ${scores.unusable.length} of ${reference.rows.length} instructions have no verdict and are in no number (the first, ${first?.line}: ${first?.problem})`;
      announce({ kind: 'warning', text });
    }
    const rate = scores.metrics.win_rate;
    return rate === undefined
      ? 'no verdict'
      : `win rate ${rate.value.toFixed(3)} [${rate.low.toFixed(3)}, ${rate.high.toFixed(3)}] over the baseline on ${rate.count} instructions`;
  });
}

async function judgedScores(
  context: IterationContext,
  {
    alpaca,
    reference,
    modelDirectory,
  }: { alpaca: AlpacaSettings; reference: AlpacaReference['rows']; modelDirectory: string },
): Promise<BenchmarkScores> {
  const { ledger, announce, signal } = context;
  const instructions = reference.map(({ instruction }) => instruction);
  announce({ kind: 'stage-started', stage: 'alpaca', total: instructions.length, done: 0, unit: 'instructions' });
  const outputs = await withOutputs(context, modelDirectory, (model) =>
    sampleOutputs(model, instructions, { ...alpaca, seed: 0 }),
  );
  const { pairs, missing } = matchOutputs(reference, outputs);
  const answers: AnswerStore = answersIn(ledger);
  const judge = await openAlpacaJudge(alpaca, {
    answers: () => answers,
    signal,
    warn: (text) => announce({ kind: 'warning', text }),
  });
  const judged: JudgedPair[] = [];
  try {
    for await (const each of judgeOutputs(pairs, judge)) {
      signal?.throwIfAborted();
      judged.push(each);
      announce({ kind: 'stage-progress', stage: 'alpaca', done: judged.length, total: instructions.length });
    }
  } finally {
    await judge.close();
  }
  return scoresOfJudged(judged, missing);
}

/** Scores as a benchmark has them: the judge's preference as a share, and the length of the output in code points. */
function scoresOfJudged(judged: readonly JudgedPair[], missing: { line: number; problem: string }[]): BenchmarkScores {
  const { usable, unusable } = annotationsOfJudged(judged, { model: '', missing });
  const items = usable.map(({ index, preference, lengths }) => ({
    line: index + 1,
    groups: [],
    scores: { win_rate: preference - 1, length: lengths?.model ?? Number.NaN },
  }));
  return {
    ...{ benchmark: 'alpaca_eval', title: 'AlpacaEval', shots: 0, mainMetric: 'win_rate', cutItems: 0 },
    metrics: metricsOf(items),
    unusable: unusable.map(({ line, problem }) => ({ line, problem })),
    lines: items.map(({ line }) => line),
    scores: {
      win_rate: items.map(({ scores }) => scores.win_rate),
      length: items.map(({ scores }) => scores.length),
    },
  };
}
