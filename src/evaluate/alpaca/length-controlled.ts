/**
 * @file The length-controlled win rate of AlpacaEval 2 (Dubois et al. 2024, https://arxiv.org/abs/2404.04475;
 * `length_controlled_v1` of alpaca_eval): a logistic regression explains each preference by the difference of lengths, the
 * instruction's difficulty and the model, and then predicts what it would be at equal lengths. Pure.
 */
import { DataError } from '../../errors.ts';
import { sampleDeviation } from '../statistics.ts';
import type { Annotation } from './annotations.ts';
import { fitLogistic, type SoftLabels, scoreOf, sigmoid } from './l1-logistic.ts';

/** What all models share: each instruction's difficulty, and the judge's verdicts on a baseline told to be long or short. */
export interface SharedFacts {
  /** By the instruction's place. */
  difficulty: readonly number[];
  gamed: readonly GamedRow[];
}

/** A verdict on the baseline's own answer, made verbose or concise, against its plain one. */
export interface GamedRow {
  /** Probability that the made one is better, in [0, 1]. */
  preference: number;
  /** Length of the plain answer less that of the made one, in standard deviations. */
  lengthDifference: number;
  difficulty: number;
}

/** Coefficients of a model beside the baseline, whose own are all 0. */
export interface LengthModel {
  /** Of tanh(length difference in standard deviations). */
  length: number;
  difficulty: number;
  bias: number;
}

/** A fitted length-controlled win rate; rates are in percent. */
export interface LengthControlled {
  rate: number;
  standardError: number;
  weights: LengthModel;
  /** Inverse strength of the penalty. */
  c: number;
}

/** The ten values that cross-validation chooses from: equally spaced in the exponent from 1e-4 to 1e4. */
export const INVERSE_STRENGTHS: readonly number[] = Array.from({ length: 10 }, (_, i) => 10 ** (-4 + (8 * i) / 9));
const FOLDS = 5;
const FEATURES = 3;
/** Half of alpaca_eval's 0.2: there are two made models. */
const GAMED_WEIGHT = 0.1;
const SMALLEST_PROBABILITY = 1e-15;

/**
 * Fits one model's annotations and predicts its win rate at equal lengths.
 *
 * @param annotations every one with lengths, in the order of their places
 * @param c inverse strength of the penalty; null chooses it by cross-validation
 * @throws DataError ALPACA_NO_LENGTHS, ALPACA_NO_DIFFICULTY, EVALUATION_EMPTY, FIT_DIVERGED
 */
export function lengthControlledWinRate(
  annotations: readonly Annotation[],
  shared: SharedFacts,
  c: number | null = null,
): LengthControlled {
  const data = designOf(annotations, shared);
  const chosen = c ?? chooseInverseStrength(data);
  const weights = fitLengthModel(data, chosen);
  const difficulties = annotations.map(({ index }) => difficultyOf(index, shared));
  return { ...predictedRate(weights, difficulties), weights, c: chosen };
}

/** Coefficients of the model whose rows a design has. DataError FIT_DIVERGED. */
export function fitLengthModel(design: SoftLabels, c: number): LengthModel {
  const [length = 0, difficulty = 0, bias = 0] = fitLogistic(design, c);
  return { length, difficulty, bias };
}

/** Win rate at equal lengths, in percent, over instructions of given difficulties; `against` is the opponent. */
export function predictedRate(
  weights: LengthModel,
  difficulties: readonly number[],
  against: LengthModel = { length: 0, difficulty: 0, bias: 0 },
): { rate: number; standardError: number } {
  const [slope, bias] = [weights.difficulty - against.difficulty, weights.bias - against.bias];
  const percents = difficulties.map((difficulty) => 100 * sigmoid(slope * difficulty + bias));
  return { rate: meanOf(percents), standardError: sampleDeviation(percents) / Math.sqrt(percents.length) };
}

/**
 * Win rates at equal lengths of each model (row) over each other (column), in percent, over all instructions: what is beyond 50
 * changes its sign with the sides, exactly.
 */
export function lengthControlledMatrix(models: readonly LengthModel[], shared: SharedFacts): number[][] {
  return models.map((model, row) =>
    models.map((against, column) => {
      if (row === column) return 50;
      const upper = row < column ? [model, against] : [against, model];
      const { rate } = predictedRate(upper[0] ?? model, shared.difficulty, upper[1]);
      return row < column ? rate : 100 - rate;
    }),
  );
}

/** Whether length changed the win rate so much that alpaca_eval doubts its own fit. */
export function isExtremeChange(winRate: number, lengthControlled: number): boolean {
  const low = Math.min(winRate - winRate / 4, winRate - 10);
  const high = Math.max(winRate + (100 - winRate) / 4, winRate + 10);
  return lengthControlled < low || lengthControlled > high;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Rows of the made models first, then the model's own; features are length, difficulty, and whether it is the model.
 *
 * @throws DataError EVALUATION_EMPTY, ALPACA_NO_LENGTHS, ALPACA_NO_DIFFICULTY
 */
export function designOf(annotations: readonly Annotation[], shared: SharedFacts): SoftLabels {
  if (annotations.length === 0) {
    throw new DataError('EVALUATION_EMPTY', 'Cannot control for length: there is no usable annotation');
  }
  const differences = annotations.map(({ index, lengths }) => {
    if (lengths !== null) return lengths.baseline - lengths.model;
    throw new DataError(
      'ALPACA_NO_LENGTHS',
      `Cannot control for length: the annotation of instruction ${index} has neither outputs nor their lengths: give the columns output_1 and output_2, or len_1 and len_2 (code points)`,
    );
  });
  const deviation = sampleDeviation(differences);
  const rows = [
    ...shared.gamed.map(({ preference, lengthDifference, difficulty }) => ({
      features: [Math.tanh(lengthDifference), difficulty, 0],
      label: preference,
      weight: GAMED_WEIGHT,
    })),
    ...annotations.map(({ index, preference }, row) => ({
      // Lengths that all differ alike (or one row alone) say nothing: alpaca_eval would divide by zero.
      features: [deviation > 0 ? Math.tanh((differences[row] ?? 0) / deviation) : 0, difficultyOf(index, shared), 1],
      label: preference - 1,
      weight: 1,
    })),
  ];
  return {
    features_NF: Float64Array.from(rows.flatMap(({ features }) => features)),
    featureCount: FEATURES,
    labels_N: Float64Array.from(rows, ({ label }) => label),
    weights_N: Float64Array.from(rows, ({ weight }) => weight),
  };
}

function difficultyOf(index: number, { difficulty }: SharedFacts): number {
  const found = difficulty[index];
  if (found !== undefined) return found;
  throw new DataError(
    'ALPACA_NO_DIFFICULTY',
    `Cannot control for length: the difficulty of instruction ${index} is not known, only that of 0 to ${difficulty.length - 1}: length control is defined for AlpacaEval's own ${difficulty.length} instructions`,
    { details: { index, known: difficulty.length } },
  );
}

/** Inverse strength of the penalty by cross-validation. Five folds of rows; the value with the best mean score of what was held out, the smallest of equals. */
export function chooseInverseStrength(data: SoftLabels): number {
  const count = data.labels_N.length;
  // As scikit-learn's GroupKFold deals groups of equal size out: from the last row on.
  const foldOf = (row: number): number => (count - 1 - row) % FOLDS;
  const folds = Array.from({ length: FOLDS }, (_, fold) => ({
    kept: subset(data, (row) => foldOf(row) !== fold),
    held: subset(data, (row) => foldOf(row) === fold),
  }));
  const scored = INVERSE_STRENGTHS.map((c) => ({
    c,
    score: meanOf(folds.map(({ kept, held }) => heldOutScore(held, fitLogistic(kept, c)))),
  }));
  return scored.reduce((best, each) => (each.score > best.score ? each : best)).c;
}

/** Mean over rows of weight times log-likelihood. */
function heldOutScore(held: SoftLabels, w: readonly number[]): number {
  const { labels_N, weights_N } = held;
  let total = 0;
  for (let row = 0; row < labels_N.length; row++) {
    const p = sigmoid(scoreOf(held, row, w));
    const inside = Math.min(1 - SMALLEST_PROBABILITY, Math.max(SMALLEST_PROBABILITY, p));
    const label = labels_N[row] ?? 0;
    total += (weights_N[row] ?? 0) * (label * Math.log(inside) + (1 - label) * Math.log(1 - inside));
  }
  return total / labels_N.length;
}

function subset(data: SoftLabels, keep: (row: number) => boolean): SoftLabels {
  const { features_NF, featureCount, labels_N, weights_N } = data;
  return {
    features_NF: features_NF.filter((_, place) => keep(Math.floor(place / featureCount))),
    featureCount,
    labels_N: labels_N.filter((_, row) => keep(row)),
    weights_N: weights_N.filter((_, row) => keep(row)),
  };
}
