/**
 * @file The recipe of supervised fine-tuning: of `selm sft`, and the section `sft` of a `selm train` recipe, which runs
 * before Algorithm 1 and gives it its first policy.
 */
import { z } from 'zod';
import { columnsOf, filesOf, integer, oneOf, positive, promptReading } from './fields.ts';
import { editorSchema, keysOfSchema } from './keys.ts';
import { licenseFields } from './licenses.ts';
import { runFields } from './run-fields.ts';
import { optimisation } from './training.ts';

const objective = z
  .discriminatedUnion(
    'kind',
    [
      z.strictObject({ kind: z.literal('likelihood').meta({ change: 'train' }) }),
      z.strictObject({
        kind: z.literal('kto').meta({ change: 'train' }),
        beta: positive()
          .default(0.1)
          .describe('Strength of the pull towards the start model')
          .meta({ change: 'train' }),
        desirableWeight: positive()
          .default(1)
          .describe('Weight of the good responses, lambda_D of the paper')
          .meta({ change: 'train' }),
        undesirableWeight: positive()
          .default(1)
          .describe('Weight of the bad responses, lambda_U of the paper')
          .meta({ change: 'train' }),
        baseline: oneOf(['mismatched', 'none'])
          .default('mismatched')
          .describe(
            "Reference point of the values. mismatched: an estimate of the KL from prompts with other prompts' responses. none: 0 (TRL's apo_zero_unpaired)",
          )
          .meta({ change: 'train' }),
      }),
    ],
    { error: 'one of likelihood, kto' },
  )
  .prefault({ kind: 'likelihood' })
  .describe(
    'What is minimised. likelihood: the negative log-likelihood of what the assistant wrote. kto: the loss of responses with a label, good or bad',
  );

const sections = {
  objective,
  data: z
    .strictObject({
      train: filesOf()
        .describe(
          'Conversations ("messages"), or "prompt" and "completion", or preference rows (their chosen response); with a "label" for kto',
        )
        .meta({ change: 'never', compared: 'by content' }),
      limit: integer(1)
        .nullable()
        .default(null)
        .describe('Use only the first rows; null uses all')
        .meta({ change: 'never' }),
      columns: columnsOf()
        .prefault({})
        .describe('Names of the fields in the files where they are not ours, such as { prompt: question }'),
      ...licenseFields,
      onBadRow: oneOf(['stop', 'drop'])
        .default('stop')
        .describe('stop: the first unusable row ends the run. drop: count it in the audit')
        .meta({ change: 'never' }),
    })
    .describe("Where conversations come from; the assistant's turns are learned"),
  text: z
    .strictObject({
      prompts: promptReading().meta({ change: 'train' }),
      maxLength: integer(2)
        .default(1024)
        .describe('Tokens of a conversation; a longer one keeps its beginning')
        .meta({ change: 'train' }),
    })
    .prefault({})
    .describe('How texts are read, and lengths'),
  training: z
    .strictObject({
      batchSize: integer(1).default(128).describe('Conversations a step').meta({ change: 'train' }),
      epochs: integer(1).default(1).describe('Passes over the conversations').meta({ change: 'train' }),
      learningRate: positive().describe('Highest learning rate').meta({ change: 'train' }),
      ...optimisation,
    })
    .describe('How the model is trained on them'),
};

/** The section `sft` of a recipe of `selm train`. */
export const sftSection = z
  .strictObject(sections)
  .describe('Supervised fine-tuning before the first iteration; its result is the model to start from');

/** A whole recipe of `selm sft`. */
export const sftRecipeSchema = z
  .strictObject({ ...runFields, ...sections })
  .describe('Recipe of a supervised fine-tuning');

/** As it is written: fields with a default may be left out. */
export type SftRecipeInput = z.input<typeof sftRecipeSchema>;
/** With its defaults, before paths are resolved. */
export type ParsedSftRecipe = z.output<typeof sftRecipeSchema>;

/** With nothing left open: paths are absolute. */
export type SftRecipe = Omit<ParsedSftRecipe, 'output' | 'data'> & {
  output: string;
  data: Omit<ParsedSftRecipe['data'], 'train'> & { train: string[] };
};

/** JSON Schema (2020-12) of the recipe of `selm sft` as it is written, for editors. */
export function sftRecipeJsonSchema(): Record<string, unknown> {
  return editorSchema(sftRecipeSchema);
}

/** Every key with its path, in order. Frozen by a test. */
export function sftRecipeKeys(): string[] {
  return keysOfSchema(sftRecipeSchema);
}
