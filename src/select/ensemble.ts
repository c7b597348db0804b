/**
 * @file What is believed of rewards after some labels: an ensemble of linear reward models. Each head starts from its own
 * random weights and weighs every label by its own chance (a bootstrap), so that heads agree where labels have told them
 * to, and their spread is the doubt (the idea of SEA, arXiv 2411.01493, with 10 linear heads for its 20 networks).
 */
import { normalAt, randomKey, uniformAt } from '../random.ts';
import type { Belief } from './rule.ts';

const HEADS = 10;
const PASSES = 4;
const LEARNING_RATE = 0.3;
/** Pull of the weights back to where they started, a step: an anchored prior. */
const DECAY = 1e-4;

/** A comparison that was labelled, of two answers by their places. */
export interface Label {
  readonly winner: number;
  readonly loser: number;
}

/** Answers as numbers that describe them: `width` of each, one answer after the other. */
export interface Described {
  readonly width: number;
  readonly features: Float64Array;
}

/** Reward models of described answers. `weights` holds the heads one after the other. */
export interface Ensemble {
  readonly seed: number;
  readonly weights: Float64Array;
  readonly start: Float64Array;
}

/** Heads that know nothing: normal weights of unit variance, the prior of the world's own common reward. */
export function newEnsemble({ width }: Pick<Described, 'width'>, seed: number): Ensemble {
  const key = randomKey(seed, 'ensemble', 'start');
  const start = Float64Array.from({ length: HEADS * width }, (_, index) => normalAt(key, index));
  return { seed, weights: start.slice(), start };
}

/** Trains all heads on all labels so far: a few passes of logistic regression from where they stand. Changes the weights. */
export function learnLabels(described: Described, ensemble: Ensemble, labels: readonly Label[]): void {
  const { width, features } = described;
  const { weights, start } = ensemble;
  const key = randomKey(ensemble.seed, 'ensemble', 'bootstrap');
  const difference = new Float64Array(width);
  for (let pass = 0; pass < PASSES; pass++) {
    for (const [index, { winner, loser }] of labels.entries()) {
      for (let f = 0; f < width; f++) {
        difference[f] = (features[winner * width + f] ?? 0) - (features[loser * width + f] ?? 0);
      }
      for (let head = 0; head < HEADS; head++) {
        // Double or nothing: half of the labels count twice, the others not at all (Owen and Eckles 2012).
        if (uniformAt(key, index * HEADS + head) < 0.5) continue;
        const at = head * width;
        let margin = 0;
        for (let f = 0; f < width; f++) margin += (weights[at + f] as number) * (difference[f] as number);
        const slope = 2 / (1 + Math.exp(margin));
        for (let f = 0; f < width; f++) {
          const weight = weights[at + f] as number;
          const pull = slope * (difference[f] as number) - DECAY * (weight - (start[at + f] as number));
          weights[at + f] = weight + LEARNING_RATE * pull;
        }
      }
    }
  }
}

/** What the heads say of some answers: their mean, and bounds of two deviations around it. */
export function believe(described: Described, { weights }: Ensemble, answers: readonly number[]): Belief[] {
  const { width, features } = described;
  return answers.map((answer) => {
    let [sum, squares] = [0, 0];
    for (let head = 0; head < HEADS; head++) {
      let reward = 0;
      for (let f = 0; f < width; f++) reward += (weights[head * width + f] ?? 0) * (features[answer * width + f] ?? 0);
      sum += reward;
      squares += reward * reward;
    }
    const mean = sum / HEADS;
    const half = 2 * Math.sqrt(Math.max(0, squares / HEADS - mean * mean));
    return { mean, lower: mean - half, upper: mean + half };
  });
}
