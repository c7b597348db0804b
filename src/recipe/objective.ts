/** @file The section `objective` of a recipe: the loss on a pair, and what makes the model look for better answers. */
import { z } from 'zod';
import { fromZero, listOf, number, oneOf, positive } from './fields.ts';

const beta = () =>
  positive()
    .default(0.01)
    .describe('Strength of the pull towards the reference, as in the paper')
    .meta({ change: 'train' });
export const preference = z
  .discriminatedUnion(
    'kind',
    [
      z.strictObject({
        kind: z.literal('dpo').meta({ change: 'train' }),
        beta: beta(),
        labelSmoothing: number('a number from 0 and below 0.5', (value) => value >= 0 && value < 0.5)
          .default(0)
          .describe('Share of labels taken to be wrong')
          .meta({ change: 'train' }),
      }),
      z.strictObject({
        kind: z.literal('dpop').meta({ change: 'train' }),
        beta: beta(),
        penalty: fromZero()
          .default(5)
          .describe('How much more the chosen response is pulled up once it is less probable than under the reference')
          .meta({ change: 'train' }),
      }),
      z.strictObject({ kind: z.literal('ipo').meta({ change: 'train' }), beta: beta() }),
      z.strictObject({ kind: z.literal('hinge').meta({ change: 'train' }), beta: beta() }),
      z.strictObject({
        kind: z.literal('sppo').meta({ change: 'train' }),
        beta: beta(),
        targets: oneOf(['ranker', 'hard'])
          .default('ranker')
          .describe("ranker: its win probabilities, as in the paper. hard: 1 for chosen, 0 for rejected (TRL's)")
          .meta({ change: 'train' }),
      }),
      z.strictObject({
        kind: z.literal('kto').meta({ change: 'train' }),
        beta: beta(),
        chosenWeight: positive()
          .default(1)
          .describe('Weight of the chosen responses, lambda_D of the paper')
          .meta({ change: 'train' }),
        rejectedWeight: positive()
          .default(1)
          .describe('Weight of the rejected responses, lambda_U of the paper')
          .meta({ change: 'train' }),
        examples: oneOf(['pairs', 'labels'])
          .default('pairs')
          .describe(
            'pairs: the chosen and the rejected response of each pair. labels: every text that people called good or bad, those of a prompt where both are bad too, which makes no pair',
          )
          .meta({ change: 'train' }),
      }),
    ],
    { error: 'one of dpo, dpop, ipo, hinge, sppo, kto' },
  )
  .describe('Loss on a pair');

/** Whether iterations learn from texts that people called good or bad, in place of pairs. */
export function learnsFromLabels(settings: z.output<typeof preference>): boolean {
  return settings.kind === 'kto' && settings.examples === 'labels';
}

/** What the steps of an iteration are made of, in words. */
export function examplesText(settings: z.output<typeof preference>): string {
  return learnsFromLabels(settings) ? 'labelled responses' : 'pairs';
}

const alpha = () =>
  z.union([fromZero(), listOf(fromZero(), 'a list of numbers, one each iteration')], {
    error: 'a number from 0, or a list of them, one each iteration',
  });
export const exploration = z
  .discriminatedUnion(
    'kind',
    [
      z.strictObject({
        kind: z.literal('selm').meta({ change: 'train' }),
        alpha: alpha().describe('Weight of the optimism term; 0 is iterative DPO').meta({ change: 'train' }),
      }),
      z.strictObject({
        kind: z.literal('xpo').meta({ change: 'train' }),
        alpha: alpha()
          .describe("Weight of the optimism term; not multiplied by beta as selm's is")
          .meta({ change: 'train' }),
      }),
      z.strictObject({
        kind: z.literal('popo').meta({ change: 'train' }),
        alpha: alpha()
          .describe("Weight of the bounded optimism term; selm's times 4 beta starts as strong")
          .meta({ change: 'train' }),
      }),
      z.strictObject({
        kind: z.literal('held').meta({ change: 'train' }),
        alpha: alpha()
          .describe(
            "Weight of an optimism term held at a share of the preference's gradient; starts as strong as selm's",
          )
          .meta({ change: 'train' }),
      }),
      z.strictObject({
        kind: z.literal('vpo').meta({ change: 'train' }),
        alpha: alpha().describe("Weight of the pessimism term, selm's with its sign turned").meta({ change: 'train' }),
      }),
      z.strictObject({ kind: z.literal('none').meta({ change: 'train' }) }),
    ],
    { error: 'one of selm, xpo, popo, held, vpo, none' },
  )
  .describe('What makes the model look for better answers');

export const chosenLikelihood = fromZero()
  .default(0)
  .describe("Weight of the chosen response's mean log-likelihood beside both terms, as in RPO; 0 leaves it out")
  .meta({ change: 'train' });

export const objective = z
  .strictObject({ preference, exploration, chosenLikelihood })
  .describe('What training minimises');
