/** @file The reward whose wonder some 0.3 of a hundred stories of the model have. */
import { wonderReward } from './reward.ts';

export { guard } from '../../quickstart/reward.ts';

/** Scores of a prompt's stories, higher is better. */
export function reward(_prompt: string, responses: string[]): number[] {
  return responses.map((response) => wonderReward(response, 0.3));
}
