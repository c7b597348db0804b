/**
 * @file Settings that every training has, be it on pairs or on conversations: schedule, optimiser, memory, adapter.
 */
import { z } from 'zod';
import { decay, fromZero, integer, listOf, number, oneOf, path, positive, yesOrNo } from './fields.ts';

const adapter = z
  .discriminatedUnion(
    'kind',
    [
      z.strictObject({ kind: z.literal('none').meta({ change: 'never' }) }),
      z.strictObject({
        kind: z.literal('lora').meta({ change: 'never' }),
        rank: integer(1).default(16).describe('Rows of A and columns of B').meta({ change: 'never' }),
        alpha: positive().default(32).describe('B A is multiplied by alpha / rank').meta({ change: 'never' }),
        targets: z
          .union([z.literal('all-linear'), listOf(path('a name'), 'a list of names')], {
            error: 'all-linear or a list of names such as q_proj',
          })
          .default('all-linear')
          .describe("Matrices of the blocks that get an adapter: all, or those of these modules' names")
          .meta({ change: 'never' }),
        rankStabilised: yesOrNo()
          .default(false)
          .describe('rsLoRA: alpha / sqrt(rank) instead')
          .meta({ change: 'never' }),
        dropout: number('0: dropout is not computed', (value) => value === 0)
          .default(0)
          .describe('For configurations of PEFT that name it')
          .meta({ change: 'never' }),
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
    .describe('How it changes within an iteration, after warm-up')
    .meta({ change: 'train' }),
  warmupRatio: decay()
    .default(0.1)
    .describe('Share of the steps of an iteration in which it rises from 0')
    .meta({ change: 'train' }),
  dropLastStep: yesOrNo()
    .default(false)
    .describe('Leave out the last step of an epoch where it is smaller, as the trainer of the authors did')
    .meta({ change: 'train' }),
  weightDecay: fromZero()
    .default(0)
    .describe('Of AdamW, for matrices; norms and biases do not decay')
    .meta({ change: 'train' }),
  adamBeta1: decay().default(0.9).describe("AdamW's memory of gradients").meta({ change: 'train' }),
  adamBeta2: decay().default(0.999).describe("AdamW's memory of their squares").meta({ change: 'train' }),
  adamEpsilon: positive()
    .default(1e-8)
    .describe('Added to the root of the squares before AdamW divides by it')
    .meta({ change: 'train' }),
  maxGradNorm: positive()
    .nullable()
    .default(1)
    .describe('Longer gradients are scaled down to this norm; null leaves them')
    .meta({ change: 'train' }),
  dtype: oneOf(['float32', 'bfloat16'])
    .default('float32')
    .describe('Type of the computation')
    .meta({ change: 'train' }),
  states: oneOf(['float32', 'bfloat16'])
    .default('float32')
    .describe(
      "Type of master weights and AdamW's moments; bfloat16 takes 8 bytes a weight with gradients instead of 18, and rounds updates at random so that they are right in expectation",
    )
    .meta({ change: 'train' }),
  microBatchTokens: integer(1)
    .default(8192)
    .describe('Tokens in memory at once: memory and speed, never the result')
    .meta({ change: 'free' }),
  activations: oneOf(['auto', 'keep', 'recompute'])
    .default('auto')
    .describe('Keep activations for the backward pass or compute them again')
    .meta({ change: 'free' }),
  sharding: oneOf(['none', 'optimiser', 'full'])
    .default('none')
    .describe(
      'What ranks share of the model in training: nothing; masters and moments (ZeRO-1); weights and gradients too (ZeRO-3)',
    )
    .meta({ change: 'free' }),
  checkpointEverySteps: integer(1)
    .default(50)
    .describe('What a crash can cost, in steps; a stop by a signal saves first')
    .meta({ change: 'free' }),
  adapter,
};
