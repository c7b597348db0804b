/**
 * @file The recipe: every setting of a run, its type, its default and the reason for it. Keys are camelCase, the same in
 * YAML and here. What has no default must be set. Checks across fields are in checks.ts, reading files in load.ts.
 */
import { z } from 'zod';
import { evaluate } from './evaluate.ts';
import {
  columnsOf,
  filesOf,
  fromZero,
  integer,
  listOf,
  oneOf,
  path,
  positive,
  probability,
  promptReading,
  yesOrNo,
} from './fields.ts';
import { editorSchema, keysOfSchema } from './keys.ts';
import { licenseFields } from './licenses.ts';
import { mixtureFields } from './mixture.ts';
import { objective } from './objective.ts';
import { ranker, rewardModel, secondOpinion } from './rankers.ts';
import { runFields } from './run-fields.ts';
import { sampler } from './sampler.ts';
import { select } from './select.ts';
import { type SftRecipe, sftSection } from './sft.ts';
import { optimisation } from './training.ts';

const data = z
  .strictObject({
    train: filesOf()
      .describe(
        'Preference rows or prompts, JSON Lines, a JSON list or CSV (also .gz, .zst), or Parquet: files or hub:owner/name:split, read in this order',
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
    ...mixtureFields,
    ...licenseFields,
    onBadRow: oneOf(['stop', 'drop'])
      .default('stop')
      .describe('stop: the first unusable row ends the run. drop: count it in the audit')
      .meta({ change: 'never' }),
  })
  .describe('Where prompts and preference pairs come from');

const text = z
  .strictObject({
    rendering: oneOf(['clean', 'faithful'])
      .default('clean')
      .describe(
        "clean: one BOS, the header masked, one EOS. faithful: the authors' own, header scored, BOS and EOS repeated",
      )
      .meta({ change: 'sample' }),
    prompts: promptReading().meta({ change: 'sample' }),
    maxLength: integer(2)
      .default(1024)
      .describe('Tokens of prompt and response together, as in the paper')
      .meta({ change: 'sample' }),
    maxPromptLength: integer(1)
      .default(512)
      .describe('Tokens kept of a prompt that is too long (its end), as in the paper')
      .meta({ change: 'sample' }),
  })
  .prefault({})
  .describe('Chat templates and lengths');

const slices = z
  .strictObject({
    count: integer(1)
      .nullable()
      .default(null)
      .describe('Parts the rows are cut into; null: one each iteration, and one for the warm start')
      .meta({ change: 'never' }),
    size: integer(1)
      .nullable()
      .default(null)
      .describe('Rows in a slice; null: by share, or all rows divided by count, rounded down')
      .meta({ change: 'never' }),
    share: probability()
      .nullable()
      .default(null)
      .describe('Rows in a slice as a share of all, such as 0.25, in place of size')
      .meta({ change: 'never' }),
    reuse: oneOf(['never', 'cycle'])
      .default('never')
      .describe('cycle: start again at the first slice when they run out')
      .meta({ change: 'free' }),
  })
  .prefault({})
  .describe('Which rows each iteration sees');

const sampling = z
  .strictObject({
    samples: integer(1).default(1).describe('Responses sampled for each prompt').meta({ change: 'sample' }),
    referenceSamples: integer(0)
      .default(0)
      .describe('Responses sampled from the reference model as well (XPO needs one)')
      .meta({ change: 'sample' }),
    temperature: fromZero().default(0).describe('0 is greedy, what the authors ran').meta({ change: 'sample' }),
    partnerTemperature: positive()
      .nullable()
      .default(null)
      .describe("Temperature of all of a prompt's responses but the policy's first, as a partner to it; null: the same")
      .meta({ change: 'sample' }),
    topP: probability()
      .default(1)
      .describe('Sample among the likeliest tokens that reach this probability together; 1 is off')
      .meta({ change: 'sample' }),
    topK: integer(0).default(0).describe('0 is off').meta({ change: 'sample' }),
    maxNewTokens: integer(1).default(1024).describe('Longer responses are cut').meta({ change: 'sample' }),
    batchSize: integer(1)
      .default(64)
      .describe('Responses generated at once: memory and speed, never the result')
      .meta({ change: 'free' }),
    dtype: oneOf(['float32', 'bfloat16'])
      .default('float32')
      .describe("Type of sampling's products; bfloat16 is faster, and adds up in float32")
      .meta({ change: 'sample' }),
    stop: z
      .array(path('a text'), { error: 'a list of texts' })
      .default([])
      .describe('Texts that end a response')
      .meta({ change: 'sample' }),
  })
  .prefault({})
  .describe('How the policy answers the prompts of its slice');

const training = z
  .strictObject({
    batchSize: integer(1).default(128).describe('Pairs a step').meta({ change: 'train' }),
    epochs: z
      .union([integer(1), listOf(integer(1), 'a list of whole numbers from 1')], {
        error: 'a whole number from 1, or a list of them',
      })
      .default(1)
      .describe(
        'Passes over the pairs of an iteration; a list has one for each, the last goes on for all that follow, and the warm start takes the first',
      )
      .meta({ change: 'train' }),
    learningRate: positive()
      .describe('Highest learning rate of an iteration (also of the warm start)')
      .meta({ change: 'train' }),
    cycle: z
      .union(
        [
          oneOf(['constant', 'linear', 'decayed-last']),
          listOf(positive(), 'a list of learning rates, one each iteration'),
        ],
        {
          error: 'one of constant, linear, decayed-last, or a list of learning rates, one each iteration',
        },
      )
      .default('constant')
      .describe('How the learning rate changes across iterations')
      .meta({ change: 'train' }),
    ...optimisation,
  })
  .describe('How the policy is trained on its pairs');

/** The whole recipe as it is written. */
export const recipeSchema = z
  .strictObject({
    ...runFields,
    sft: sftSection.nullable().default(null).meta({ change: 'never' }),
    data,
    text,
    iterations: integer(1)
      .default(3)
      .describe('Times to sample, rank and train; the warm start is not counted')
      .meta({ change: 'extend' }),
    slices,
    warmStart: oneOf(['none', 'dpo'])
      .default('none')
      .describe('dpo: first train on the original pairs of the first slice, without sampling')
      .meta({ change: 'never' }),
    reference: oneOf(['previous', 'initial'])
      .default('previous')
      .describe('Which model each iteration is held to')
      .meta({ change: 'train' }),
    update: oneOf([
      'best-and-worst',
      'replace',
      'all-pairs',
      'diverse',
      'best-over-random',
      'random',
      'data-over-response',
      'keep',
    ])
      .default('best-and-worst')
      .describe(
        "Pairs from the candidates: best and worst of all; the response in place of the data's chosen or rejected; every two; the rarest good response over the commonest bad one (DivPO); the best response over another by chance; two responses by chance; the data's chosen over the response (SPIN); the data's own, nothing sampled",
      )
      .meta({ change: 'pair' }),
    minMargin: fromZero()
      .nullable()
      .default(null)
      .describe('Leave out pairs whose scores differ by less; null takes all')
      .meta({ change: 'pair' }),
    labels: oneOf(['hard', 'soft'])
      .default('hard')
      .describe(
        'hard: the chosen is certainly better. soft: with the probability p that the ranker gives it, p l(+) + (1 - p) l(-)',
      )
      .meta({ change: 'pair' }),
    pairWeights: oneOf(['equal', 'margin'])
      .default('equal')
      .describe(
        "How much each pair's preference loss counts. margin: by the difference of its two scores, over the mean difference of the iteration",
      )
      .meta({ change: 'pair' }),
    accumulate: yesOrNo()
      .default(false)
      .describe('Train on the pairs of earlier iterations too')
      .meta({ change: 'train' }),
    sampling,
    sampler,
    select,
    ranker,
    secondOpinion,
    objective,
    rewardModel,
    training,
    evaluate,
  })
  .describe('Recipe of a selm run');

/** A recipe as it is written: fields with a default may be left out. */
export type RecipeInput = z.input<typeof recipeSchema>;
/** A recipe with its defaults, before paths and dependent defaults are resolved. */
export type ParsedRecipe = z.output<typeof recipeSchema>;

/** A recipe with nothing left open: paths are absolute, dependent defaults are filled in. */
export type Recipe = Omit<ParsedRecipe, 'output' | 'sft' | 'data' | 'slices' | 'evaluate'> & {
  output: string;
  /** A run of its own, in a folder of its own inside this one. */
  sft: SftRecipe | null;
  data: Omit<ParsedRecipe['data'], 'train'> & { train: string[] };
  slices: Omit<ParsedRecipe['slices'], 'count'> & { count: number };
  evaluate: Omit<ParsedRecipe['evaluate'], 'maxNewTokens' | 'title'> & { maxNewTokens: number; title: string };
};

/** The `sampler` section of a recipe whose responses a server samples. */
export type SamplingServerSettings = Exclude<Recipe['sampler'], { kind: 'own' }>;

/** The `ranker` section, resolved. */
export type RankerSettings = Recipe['ranker'];

/** The `evaluate.benchmarks` section of a recipe that has one. */
export type BenchmarkSettings = NonNullable<Recipe['evaluate']['benchmarks']>;

/** The `evaluate.alpaca` section of a recipe that has one. */
export type AlpacaSettings = NonNullable<Recipe['evaluate']['alpaca']>;

/** The `evaluate.mtBench` section of a recipe that has one. */
export type MtBenchSettings = NonNullable<Recipe['evaluate']['mtBench']>;

/** The `select` section of a recipe that has one. */
export type SelectSettings = NonNullable<Recipe['select']>;

/** The `rewardModel` section of a recipe that has one. */
export type RewardModelSettings = NonNullable<Recipe['rewardModel']>;

/** JSON Schema (2020-12) of the recipe as it is written, for editors. */
export function recipeJsonSchema(): Record<string, unknown> {
  return editorSchema(recipeSchema);
}

/** Every key of the recipe with its path, in order: `training.learningRate`. Frozen by a test. */
export function recipeKeys(): string[] {
  return keysOfSchema(recipeSchema);
}
