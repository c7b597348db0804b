/** @file The section `evaluate` of a recipe: what is measured of the base and of every iteration, and what follows from it. */
import { z } from 'zod';
import { columnsOf, fromZero, integer, listOf, oneOf, path, positive, probability, title, yesOrNo } from './fields.ts';
import { judgeRanker } from './rankers.ts';

const benchmarkName = () => path('the name of a benchmark, or a section with name, limit, shots');
const benchmarks = z
  .strictObject({
    on: listOf(
      z.union(
        [
          benchmarkName(),
          z.strictObject({
            name: benchmarkName(),
            limit: integer(1).nullable().default(null),
            shots: integer(0).nullable().default(null),
          }),
        ],
        { error: 'the name of a benchmark, or a section with name, limit, shots' },
      ),
      'a list of benchmarks such as [arc_challenge, {name: gsm8k, limit: 200}]',
    )
      .describe(
        'Benchmarks by the names of `selm eval --on`, each with a limit and a number of shots of its own where it is a section',
      )
      .meta({ change: 'free' }),
    data: path('a path to a folder, or null')
      .nullable()
      .default(null)
      .describe('Folder with their rows, as `selm eval --data` takes it; null: from the Hub')
      .meta({ change: 'free' }),
    limit: integer(1)
      .nullable()
      .default(null)
      .describe('Only the first rows of each; null: all')
      .meta({ change: 'free' }),
    base: yesOrNo()
      .default(true)
      .describe('Also ask the model that training starts from, to compare with')
      .meta({ change: 'free' }),
    dtype: oneOf(['float32', 'bfloat16'])
      .default('float32')
      .describe('What likelihoods are computed in; answers are generated in float32')
      .meta({ change: 'free' }),
    batchTokens: integer(1)
      .default(4096)
      .describe('Tokens that are scored at once: memory and speed')
      .meta({ change: 'free' }),
    batchSize: integer(1)
      .default(32)
      .describe('Answers that are generated at once: memory and speed')
      .meta({ change: 'free' }),
  })
  .nullable()
  .default(null)
  .describe(
    'Public benchmarks on which every model is measured; where they change, those that are missing are asked, and no answer twice',
  )
  .meta({ change: 'free' });

const { model: judgeName, baseUrl, apiKeyVariable, budget, retries, timeoutMs, concurrency } = judgeRanker.shape;
const judge = z
  .strictObject({
    model: judgeName.meta({ change: 'free' }),
    ...{ baseUrl, apiKeyVariable },
    budget: budget.describe(
      'What all measures of the run together may use; it stops before it uses more, and goes on when this is raised',
    ),
    ...{ retries, timeoutMs, concurrency },
  })
  .nullable()
  .default(null)
  .describe('The judge of alpaca and mtBench: where it is, and what it may use; how it is asked is theirs')
  .meta({ change: 'free' });

/** Another model of the judge's server. */
const ownJudge = () =>
  path(
    'the name of a model, or null; where the judge is and what it may use stands in evaluate.judge for all measures (also budget, retries, timeoutMs, concurrency), and read beside it',
  )
    .nullable()
    .default(null)
    .describe("Model that judges here, on the judge's server; null: that of evaluate.judge")
    .meta({ change: 'free' });

const alpaca = z
  .strictObject({
    judge: ownJudge(),
    read: oneOf(['log-probabilities', 'text', 'auto'])
      .default('log-probabilities')
      .describe("As alpaca_eval's weighted annotator, or the verdict in the text where a server has none")
      .meta({ change: 'free' }),
    reference: path('a path or null')
      .nullable()
      .default(null)
      .describe(
        "Instructions and the baseline's outputs, as `selm eval alpaca --reference`; null: the leaderboard's, from the Hub",
      )
      .meta({ change: 'free' }),
    data: path('a path to a folder, or null')
      .nullable()
      .default(null)
      .describe(
        "Folder with df_gamed.csv, for win rates at equal lengths; null: looked for beside the reference, the leaderboard's from the Hub",
      )
      .meta({ change: 'free' }),
    limit: integer(1)
      .nullable()
      .default(null)
      .describe('Only the first instructions; null: all')
      .meta({ change: 'free' }),
    base: yesOrNo().default(true).describe('Also judge the model that training starts from').meta({ change: 'free' }),
    temperature: fromZero().default(0).describe('Of the outputs; 0 is greedy').meta({ change: 'free' }),
    topP: probability().default(1).describe('Of the outputs').meta({ change: 'free' }),
    maxNewTokens: integer(1).default(2048).describe('Longer outputs are cut').meta({ change: 'free' }),
  })
  .nullable()
  .default(null)
  .describe(
    "AlpacaEval of every model by a judge; what was sampled and answered is asked once. The measure's name is alpaca_eval",
  )
  .meta({ change: 'free' });

const mtBench = z
  .strictObject({
    judge: ownJudge(),
    limit: integer(1)
      .nullable()
      .default(null)
      .describe('Only the first questions; null: all 80')
      .meta({ change: 'free' }),
    base: yesOrNo().default(true).describe('Also rate the model that training starts from').meta({ change: 'free' }),
    maxNewTokens: integer(1).default(1024).describe('Longer turns are cut').meta({ change: 'free' }),
  })
  .nullable()
  .default(null)
  .describe(
    "MT-Bench of every model by a judge; what was sampled and answered is asked once. The measure's name is mt_bench",
  )
  .meta({ change: 'free' });

const measure = () => z.string({ error: 'reward, win-rate, or the name of a benchmark of evaluate.benchmarks' }).min(1);

export const evaluate = z
  .strictObject({
    prompts: path('a path or null')
      .nullable()
      .default(null)
      .describe('Held-out prompts: a file or hub:owner/name:file; null evaluates nothing, or what holdOut takes')
      .meta({ change: 'measure', compared: 'by content' }),
    holdOut: integer(0)
      .default(0)
      .describe('Prompts that are taken off the training rows to measure on, the same ones for the same seed')
      .meta({ change: 'never' }),
    columns: columnsOf()
      .nullable()
      .default(null)
      .describe('Names of the fields in that file; null: as in data.columns')
      .meta({ change: 'measure' }),
    limit: integer(1)
      .nullable()
      .default(null)
      .describe('Held-out prompts that are used, from the first on; null: all')
      .meta({ change: 'measure' }),
    samples: integer(1).default(1).describe('Answers to each held-out prompt').meta({ change: 'measure' }),
    temperature: fromZero()
      .default(0.7)
      .describe('Of the answers; KL is measured at 1 only')
      .meta({ change: 'measure' }),
    maxNewTokens: integer(1).nullable().default(null).describe("null: sampling's").meta({ change: 'measure' }),
    greedy: yesOrNo()
      .default(false)
      .describe(
        'Also answer greedily, for the distribution of rewards (Figure 3 of the paper); not needed at temperature 0, nor possible with a ranker that only compares',
      )
      .meta({ change: 'measure' }),
    title: title()
      .nullable()
      .default(null)
      .describe('Heading of the report; null: the name of the run')
      .meta({ change: 'free' }),
    explorationPrompts: integer(0)
      .default(64)
      .describe('Prompts on which each iteration measures what exploration did; 0 measures nothing')
      .meta({ change: 'warn' }),
    benchmarks,
    judge,
    alpaca,
    mtBench,
    keepBest: measure()
      .nullable()
      .default(null)
      .describe(
        'Measure by which the best iteration is linked as `best` in the run directory: reward (held-out), win-rate (over the base), or a benchmark; null: none',
      )
      .meta({ change: 'free' }),
    stopOnRegression: z
      .strictObject({
        measure: measure().describe('As keepBest').meta({ change: 'warn' }),
        by: z
          .union([z.literal('interval'), positive()], { error: 'interval, or a number above 0' })
          .default('interval')
          .describe(
            'interval: worse where the paired 95 % interval of the difference from the best before lies below 0. A number: where it lost more than that',
          )
          .meta({ change: 'warn' }),
        patience: integer(1)
          .default(1)
          .describe('End after so many iterations in a row that were worse')
          .meta({ change: 'warn' }),
      })
      .nullable()
      .default(null)
      .describe('End the run after an iteration that is worse than the best before it; null: run all iterations')
      .meta({ change: 'warn' }),
    twin: z
      .union([z.boolean(), z.literal('beside')], { error: 'true, false or beside' })
      .default(false)
      .describe(
        'Also run the same recipe with alpha = 0 and report both. true: after the run. beside: at the same time, in a process of its own with as many threads and as much memory',
      )
      .meta({ change: 'free' }),
  })
  .prefault({})
  .describe('What is measured after each iteration');

/** A judge of measures: which model, where it is, and what it may use. */
export type JudgePlace = NonNullable<z.output<typeof judge>>;

/** The judge of a measure: the one of all, under the measure's own model where it names one. */
export function judgeOf(all: JudgePlace | null, measure: { judge: string | null }): JudgePlace {
  // checks.ts refuses a measure by a judge without one.
  if (all === null) throw new Error('A measure by a judge, and no judge');
  return { ...all, model: measure.judge ?? all.model };
}
