/**
 * @file A softmax policy over a world's responses, and one step of gradient descent on it. Its logits are log pi_0 plus what
 * it learned: a number for every response (table), or a linear function of the features.
 */
import { normalise, type World } from './world.ts';

/** The policy's parameters; zeros are the base policy. */
export type Parameters = Float64Array;

/** The derivative of a loss by the log-probability of one response, addressed among all responses. */
export interface LogProbDerivative {
  readonly response: number;
  readonly value: number;
}

/** Parameters of the base policy. */
export function baseParameters({ settings, width }: World): Parameters {
  return new Float64Array(settings.policy === 'table' ? settings.prompts * settings.responses : width);
}

/** log pi of all responses. */
export function allLogProbs(world: World, parameters: Parameters): Float64Array {
  const { prompts, responses } = world.settings;
  const logProbs = new Float64Array(prompts * responses);
  for (let prompt = 0; prompt < prompts; prompt++) fillLogProbs(world, parameters, prompt, logProbs);
  return logProbs;
}

/** Writes log pi( . | prompt) into its place of an array of all responses. */
export function fillLogProbs(world: World, parameters: Parameters, prompt: number, logProbs: Float64Array): void {
  const { settings, width, features, base } = world;
  const start = prompt * settings.responses;
  const end = start + settings.responses;
  // Most of a run's time goes by here: the indices are inside, and asking each time would double it.
  if (settings.policy === 'table') {
    for (let at = start; at < end; at++) logProbs[at] = (base[at] as number) + (parameters[at] as number);
  } else {
    for (let at = start, feature = start * width; at < end; at++) {
      let logit = base[at] as number;
      for (let f = 0; f < width; f++) logit += (features[feature++] as number) * (parameters[f] as number);
      logProbs[at] = logit;
    }
  }
  normalise(logProbs.subarray(start, end));
}

/**
 * Descends by the derivatives of a loss. With pi a softmax, d log pi(y) / d logit(z) = [y = z] - pi(z): what the derivatives
 * of a prompt sum to pulls on all of its responses by their probability.
 *
 * @param logProbs of the prompts that the derivatives are about, at these parameters
 */
export function descend(
  world: World,
  parameters: Parameters,
  step: { logProbs: Float64Array; derivatives: readonly LogProbDerivative[]; learningRate: number },
): void {
  const { settings, width, features } = world;
  const { logProbs, derivatives, learningRate } = step;
  const onLogit = (at: number, slope: number): void => {
    const change = learningRate * slope;
    if (settings.policy === 'table') parameters[at] = (parameters[at] ?? 0) - change;
    else
      for (let f = 0; f < width; f++) {
        parameters[f] = (parameters[f] ?? 0) - change * (features[at * width + f] ?? 0);
      }
  };
  const totals = new Map<number, number>();
  for (const { response, value } of derivatives) {
    const prompt = Math.floor(response / settings.responses);
    totals.set(prompt, (totals.get(prompt) ?? 0) + value);
    onLogit(response, value);
  }
  for (const [prompt, total] of totals) {
    if (total === 0) continue;
    const end = (prompt + 1) * settings.responses;
    for (let at = prompt * settings.responses; at < end; at++) onLogit(at, -total * Math.exp(logProbs[at] ?? 0));
  }
}
