/** @file As ten.ts, by somebody who errs: a wonder wins 88 of a hundred comparisons, one friendly sentence more 61. */
import { noisyReward } from './reward.ts';

export { guard } from '../../quickstart/reward.ts';

/** Scores of a prompt's stories, higher is better. */
export function reward(_prompt: string, responses: string[]): number[] {
  return responses.map((response) => noisyReward(response, { share: 10, scale: 0.3 }));
}
