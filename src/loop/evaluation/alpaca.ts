/**
 * @file The stage that has a judge compare a model's outputs with a baseline's, as `selm eval alpaca MODEL --judge` does.
 * Outputs and replies go into the ledger as soon as they exist, and are asked for once. What the judge refuses is named, and
 * counts nowhere.
 */
import { SelmError } from '../../errors.ts';
import type { Annotation, Annotations } from '../../evaluate/alpaca/annotations.ts';
import { fitModel } from '../../evaluate/alpaca/fitted-model.ts';
import {
  annotationsOfJudged,
  type JudgedPair,
  judgeOutputs,
  type MatchedOutputs,
  matchOutputs,
  readBaseline,
} from '../../evaluate/alpaca/judged.ts';
import type { SharedFacts } from '../../evaluate/alpaca/length-controlled.ts';
import { ALPACA_JUDGE, sampleOutputs } from '../../evaluate/alpaca/protocol.ts';
import { readSharedFacts } from '../../evaluate/alpaca/shared-facts.ts';
import { metricsOf } from '../../evaluate/benchmarks/estimates.ts';
import { readResultFile } from '../../evaluate/records.ts';
import type { Interval } from '../../evaluate/statistics.ts';
import { sha256 } from '../../files/hash.ts';
import { knownSha256 } from '../../files/known-hashes.ts';
import type { Ranker } from '../../rank/ranker.ts';
import { memoryAnswers, type RankerServices } from '../../rank/services.ts';
import { type JudgePlace, judgeOf } from '../../recipe/evaluate.ts';
import type { AlpacaSettings, Recipe } from '../../recipe/schema.ts';
import type { BenchmarkScores } from '../../store/benchmark-scores.ts';
import { lengthControlledRates } from '../../store/length-control.ts';
import { fitsOf } from '../../store/measured.ts';
import type { RecordOf } from '../../store/records.ts';
import { type IterationContext, runStage } from '../stages/stage.ts';
import { judgeAnswers, openProtocolJudge, withOutputs } from './judges.ts';
import { canMeasure } from './measured.ts';

/** The files that AlpacaEval rests on. */
export interface AlpacaFiles {
  /** Instructions and the baseline's outputs. */
  reference: string;
  /** `df_gamed.csv`, or why there is none. */
  shared: string | { problem: string };
}

/** Instructions with a baseline's outputs, and what a win rate at equal lengths needs beside them. */
export interface AlpacaReference {
  rows: ReturnType<typeof readBaseline>;
  sha256: string;
  shared: { facts: SharedFacts; sha256: string } | { problem: string };
}

/**
 * Reads the baseline and opens the judge once, so that what is wrong with either shows before anything is sampled. DataError
 * ALPACA_EMPTY and ALPACA_SHARED, or RecipeError and RankerError of the judge.
 */
export async function loadAlpaca(
  evaluate: Recipe['evaluate'],
  files: AlpacaFiles | null,
): Promise<AlpacaReference | null> {
  const { alpaca: settings } = evaluate;
  if (settings === null || files === null) return null;
  const { reference: path, shared } = files;
  const rows = readBaseline(await readResultFile(path), { path, limit: settings.limit });
  await (
    await openAlpacaJudge(judgeOf(evaluate.judge, settings), settings, { answers: () => memoryAnswers() })
  ).close();
  return { rows, sha256: await knownSha256(path), shared: await loadShared(shared) };
}

async function loadShared(shared: AlpacaFiles['shared']): Promise<AlpacaReference['shared']> {
  if (typeof shared !== 'string') return shared;
  return { facts: readSharedFacts(await readResultFile(shared), shared), sha256: await knownSha256(shared) };
}

function openAlpacaJudge(
  judge: JudgePlace,
  { read }: Pick<AlpacaSettings, 'read'>,
  services: RankerServices,
): Promise<Ranker> {
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
  const { read, temperature, topP, maxNewTokens, limit } = alpaca;
  const { model } = judgeOf(recipe.evaluate.judge, alpaca);
  const { shared } = reference;
  // A run from before there was length control is scored again if it can have it now, from the existing outputs and replies.
  const facts = 'facts' in shared ? [shared.sha256] : [];
  const decisive = [model, read, temperature, topP, maxNewTokens, limit, reference.sha256, ...facts];
  const settings = sha256(JSON.stringify(decisive));
  const basis = sha256(JSON.stringify([model, read, reference.sha256, ...facts]));
  const measure = { kind: 'alpaca', settings, modelDirectory, leftOut: 'its outputs are not judged' } as const;
  if (!canMeasure(context, measure)) return;
  await runStage(context, 'alpaca', async () => {
    const { judged, missing } = await judgeAll(context, { alpaca, reference: reference.rows, modelDirectory });
    const annotations = annotationsOfJudged(judged, { model: '', missing });
    const scores = scoresOf(annotations, basis);
    const lengthControl = lengthControlOf(annotations.usable, { shared, basis });
    ledger.putRecord(iteration, 'alpaca', { settings, results: [scores], lengthControl });
    if (scores.unusable.length > 0) {
      const [first] = scores.unusable;
      const text = `${scores.title}: ${scores.unusable.length} of ${reference.rows.length} instructions have no verdict and are in no number (the first, ${first?.line}: ${first?.problem})`;
      announce({ kind: 'warning', text });
    }
    const rate = scores.metrics.win_rate;
    if (rate === undefined) return 'no verdict';
    const atEqualLengths =
      'problem' in lengthControl ? `; no length control: ${lengthControl.problem}` : ratesText(context);
    return `win rate ${intervalText(rate)} over the baseline on ${rate.count} instructions${atEqualLengths}`;
  });
}

/** The fit of a model's verdicts, or why there is none: the win rate stands without it. */
function lengthControlOf(
  annotations: readonly Annotation[],
  { shared, basis }: { shared: AlpacaReference['shared']; basis: string },
): NonNullable<RecordOf<'alpaca'>['lengthControl']> {
  if ('problem' in shared) return shared;
  try {
    return { basis, ...fitModel(annotations, shared.facts) };
  } catch (error) {
    if (!(error instanceof SelmError)) throw error;
    return { problem: error.message };
  }
}

/** `; at equal lengths 0.231 [0.197, 0.270], 0.612 [0.550, 0.671] over the base`. */
function ratesText({ ledger, iteration }: IterationContext): string {
  const { baseline = null, base = null, previous = null } = lengthControlledRates(fitsOf(ledger), iteration) ?? {};
  const parts = [
    ...(baseline === null ? [] : [intervalText(baseline)]),
    ...(base === null ? [] : [`${intervalText(base)} over the base`]),
    ...(previous === null || iteration < 2 ? [] : [`${intervalText(previous)} over iteration ${iteration - 1}`]),
  ];
  return parts.length === 0 ? '' : `; at equal lengths ${parts.join(', ')}`;
}

function intervalText({ value, low, high }: Pick<Interval, 'value' | 'low' | 'high'>): string {
  return `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
}

async function judgeAll(
  context: IterationContext,
  {
    alpaca,
    reference,
    modelDirectory,
  }: { alpaca: AlpacaSettings; reference: AlpacaReference['rows']; modelDirectory: string },
): Promise<{ judged: JudgedPair[]; missing: MatchedOutputs['missing'] }> {
  const { ledger, announce, signal } = context;
  const instructions = reference.map(({ instruction }) => instruction);
  announce({ kind: 'stage-started', stage: 'alpaca', total: instructions.length, done: 0, unit: 'instructions' });
  const outputs = await withOutputs(context, modelDirectory, (model) =>
    sampleOutputs(model, instructions, { ...alpaca, seed: 0 }),
  );
  const { pairs, missing } = matchOutputs(reference, outputs);
  const answers = judgeAnswers(ledger);
  const judge = await openAlpacaJudge(judgeOf(context.recipe.evaluate.judge, alpaca), alpaca, {
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
  return { judged, missing };
}

/** Scores as a benchmark has them: the judge's preference as a share, and the length of the output in code points. */
function scoresOf({ usable, unusable }: Annotations, basis: string): BenchmarkScores {
  const items = usable.map(({ index, preference, lengths }) => ({
    line: index + 1,
    groups: [],
    scores: { win_rate: preference - 1, length: lengths?.model ?? Number.NaN },
  }));
  return {
    ...{ benchmark: 'alpaca_eval', title: 'AlpacaEval', shots: 0, basis, mainMetric: 'win_rate', cutItems: 0 },
    metrics: metricsOf(items),
    unusable: unusable.map(({ line, problem }) => ({ line, problem })),
    lines: items.map(({ line }) => line),
    scores: {
      win_rate: items.map(({ scores }) => scores.win_rate),
      length: items.map(({ scores }) => scores.length),
    },
  };
}
