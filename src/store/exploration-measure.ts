/** @file What a run keeps of how far exploration took the policy in an iteration. */
import { z } from 'zod';

/** Gradient norms over all trained weights of the mean loss of some pairs, at the policy that training ended with. */
export interface GradientNorms {
  pairs: number;
  preference: number;
  /** 0 without the term. */
  exploration: number;
  /** Of their sum: below the larger of the two where they oppose each other. */
  total: number;
}

/** What is kept of a measurement. */
export interface ExplorationMeasure {
  promptIds: string[];
  /** log pi_theta(y) - log pi_ref(y) in nats, one a prompt, after training. */
  logRatios: number[];
  gradient: GradientNorms;
}

/** Parser of a kept measurement. */
export const explorationSchema = z.object({
  promptIds: z.array(z.string()),
  logRatios: z.array(z.number()),
  gradient: z.object({ pairs: z.number(), preference: z.number(), exploration: z.number(), total: z.number() }),
}) satisfies z.ZodType<ExplorationMeasure>;
