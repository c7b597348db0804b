/**
 * @file A world small enough to know everything of: some prompts, some hundred responses to each, the reward of every one.
 * Nothing is estimated in it: expectations are sums over all responses, and the best policy is known. A few responses are
 * rare under the base policy and worth much; how rare is a dial. Float64 arrays, response y of prompt x at x K + y.
 */
import { normalAt, randomKey } from '../random.ts';

/** The dials of a world. */
export interface WorldSettings {
  readonly prompts: number;
  /** Responses to each prompt, K. */
  readonly responses: number;
  /** Numbers that describe a response; its common reward is linear in them. */
  readonly features: number;
  /** Standard deviation of the base policy's logits: 0 makes every common response as likely as another. */
  readonly baseSpread: number;
  /** Rare responses of each prompt, and the base policy's probability of all of them together. */
  readonly rareResponses: number;
  readonly rareShare: number;
  /** What a rare response is worth beside the common part, in standard deviations of the common reward. */
  readonly rareReward: number;
  /** Bradley-Terry: the better of two wins with sigma(labelScale (r - r')). Small is a noisy ranker. */
  readonly labelScale: number;
  /** table: every response has a logit of its own. features: the policy is linear in the features, and generalises. */
  readonly policy: 'table' | 'features';
}

/** A world, drawn from its settings and a seed. */
export interface World {
  readonly settings: WorldSettings;
  /** Numbers that describe a response: the common ones, then 1 where it is rare. */
  readonly width: number;
  readonly features: Float64Array;
  readonly rewards: Float64Array;
  /** log pi_0. */
  readonly base: Float64Array;
  /** 1 where the response is rare. */
  readonly rare: Uint8Array;
}

/** Draws a world: features and base logits are normal, the common reward has mean 0 and variance 1 before the rare part. */
export function drawWorld(settings: WorldSettings, seed: number): World {
  const { prompts, responses, baseSpread, rareResponses, rareShare, rareReward } = settings;
  const width = settings.features + 1;
  const size = prompts * responses;
  const world: World = {
    settings,
    width,
    features: new Float64Array(size * width),
    rewards: new Float64Array(size),
    base: new Float64Array(size),
    rare: new Uint8Array(size),
  };
  const directionKey = randomKey(seed, 'world', 'direction');
  const raw = Array.from({ length: settings.features }, (_, index) => normalAt(directionKey, index));
  const length = Math.hypot(...raw);
  const featureKey = randomKey(seed, 'world', 'features');
  const baseKey = randomKey(seed, 'world', 'base');
  for (let prompt = 0; prompt < prompts; prompt++) {
    const [common, scarce] = [new Float64Array(responses), new Float64Array(responses)];
    for (let response = 0; response < responses; response++) {
      const at = prompt * responses + response;
      // The first responses are the rare ones: nothing else depends on a response's place.
      const isRare = response < rareResponses;
      world.rare[at] = isRare ? 1 : 0;
      let reward = 0;
      for (let index = 0; index < settings.features; index++) {
        const feature = normalAt(featureKey, at * settings.features + index);
        world.features[at * width + index] = feature / Math.sqrt(settings.features);
        reward += feature * ((raw[index] ?? 0) / length);
      }
      world.features[at * width + settings.features] = isRare ? 1 : 0;
      world.rewards[at] = reward + (isRare ? rareReward : 0);
      (isRare ? scarce : common)[response] = Math.exp(baseSpread * normalAt(baseKey, at));
    }
    const mass = { common: sum(common), rare: sum(scarce) };
    for (let response = 0; response < responses; response++) {
      const share = response < rareResponses ? rareShare / mass.rare : (1 - rareShare) / mass.common;
      world.base[prompt * responses + response] = Math.log(((common[response] ?? 0) + (scarce[response] ?? 0)) * share);
    }
  }
  return world;
}

/** The probability that the first of two responses wins a comparison, by Bradley and Terry. */
export function winProbability({ settings, rewards }: World, first: number, second: number): number {
  return 1 / (1 + Math.exp(-settings.labelScale * ((rewards[first] ?? 0) - (rewards[second] ?? 0))));
}

/** What a policy is worth: sums over all responses, means over prompts. */
export interface PolicyMeasure {
  /** E_pi[r]. */
  reward: number;
  /** KL(pi || pi_0) in nats. */
  klToBase: number;
  /** Entropy of pi in nats: how many different answers are left, on a log scale. */
  entropy: number;
  /** pi's probability of the rare responses. */
  rareShare: number;
}

/** Measures a policy, given as log-probabilities of all responses. Exact. */
export function measurePolicy(world: World, logProbs: Float64Array): PolicyMeasure {
  const { prompts } = world.settings;
  const measure = { reward: 0, klToBase: 0, entropy: 0, rareShare: 0 };
  for (const [at, logProb] of logProbs.entries()) {
    const probability = Math.exp(logProb) / prompts;
    measure.reward += probability * (world.rewards[at] ?? 0);
    if (probability > 0) measure.klToBase += probability * (logProb - (world.base[at] ?? 0));
    if (probability > 0) measure.entropy -= probability * logProb;
    measure.rareShare += probability * (world.rare[at] ?? 0);
  }
  return measure;
}

/** The largest reward that any policy has: the best response of every prompt, always. */
export function bestReward({ settings: { prompts, responses }, rewards }: World): number {
  let total = 0;
  for (let prompt = 0; prompt < prompts; prompt++) {
    total += Math.max(...rewards.subarray(prompt * responses, (prompt + 1) * responses));
  }
  return total / prompts;
}

/**
 * The policy that maximises E_pi[r] - beta KL(pi || pi_0): pi_0 exp(r / beta) / Z, as log-probabilities, and the maximum
 * itself, beta E[log Z] (the SELM paper's appendix A.1, https://arxiv.org/abs/2405.19332). Any other policy falls short of
 * it by beta KL(pi || optimum), which is its regret.
 */
export function optimalPolicy(world: World, beta: number): { logProbs: Float64Array; value: number } {
  const { prompts, responses } = world.settings;
  const logProbs = world.base.map((logProb, at) => logProb + (world.rewards[at] ?? 0) / beta);
  let value = 0;
  for (let prompt = 0; prompt < prompts; prompt++) {
    value += (beta * normalise(logProbs.subarray(prompt * responses, (prompt + 1) * responses))) / prompts;
  }
  return { logProbs, value };
}

/** Turns logits into log-probabilities in place, and returns log Z. */
export function normalise(logits: Float64Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > largest) largest = logit;
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - largest);
  const logZ = largest + Math.log(total);
  for (let at = 0; at < logits.length; at++) logits[at] = (logits[at] as number) - logZ; // inside by the loop
  return logZ;
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
