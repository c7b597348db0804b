/**
 * @file Settings that every training has, be it on pairs or on conversations: schedule, optimiser, memory, adapter.
 */
import { z } from 'zod';
import { decay, fromZero, integer, listOf, number, oneOf, path, positive, yesOrNo } from './fields.ts';

const adapter = z
  .discriminatedUnion(
    'kind',
    [
      z.strictObject({ kind: z.literal('none') }),
      z.strictObject({
        kind: z.literal('lora'),
        rank: integer(1).default(16).describe('Rows of A and columns of B'),
        alpha: positive().default(32).describe('B A is multiplied by alpha / rank'),
        targets: z
          .union([z.literal('all-linear'), listOf(path('a name'), 'a list of names')], {
            error: 'all-linear or a list of names such as q_proj',
          })
          .default('all-linear')
          .describe("Matrices of the blocks that get an adapter: all, or those of these modules' names"),
        rankStabilised: yesOrNo().default(false).describe('rsLoRA: alpha / sqrt(rank) instead'),
        dropout: number('0: dropout is not computed', (value) => value === 0).default(0),
      }),
    ],
    { error: 'one of none, lora' },
  )
  .prefault({ kind: 'none' })
  .describe('none trains all weights; lora an adapter in the format of PEFT');

/** Fields of a `training` section after its batches and learning rate. */
export const optimisation = {
  schedule: oneOf(['cosine', 'linear', 'constant'])
    .default('cosine')
    .describe('How it changes within an iteration, after warm-up'),
  warmupRatio: decay().default(0.1).describe('Share of the steps of an iteration in which it rises from 0'),
  dropLastStep: yesOrNo()
    .default(false)
    .describe('Leave out the last step of an epoch where it is smaller, as the trainer of the authors did'),
  weightDecay: fromZero().default(0),
  adamBeta1: decay().default(0.9),
  adamBeta2: decay().default(0.999),
  adamEpsilon: positive().default(1e-8),
  maxGradNorm: positive()
    .nullable()
    .default(1)
    .describe('Longer gradients are scaled down to this norm; null leaves them'),
  dtype: oneOf(['float32', 'bfloat16'])
    .default('float32')
    .describe('Type of the computation; master weights are always float32'),
  microBatchTokens: integer(1).default(8192).describe('Tokens in memory at once: memory and speed, never the result'),
  activations: oneOf(['auto', 'keep', 'recompute'])
    .default('auto')
    .describe('Keep activations for the backward pass or compute them again'),
  checkpointEverySteps: integer(1).default(50),
  adapter,
};
