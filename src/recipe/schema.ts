/**
 * @file The recipe: every setting of a run, its type, its default and the reason for it. Keys are camelCase, the same in
 * YAML and here. What has no default must be set. Checks across fields are in checks.ts, reading files in load.ts.
 */
import { z } from 'zod';
import {
  columnsOf,
  filesOf,
  fromZero,
  integer,
  listOf,
  number,
  oneOf,
  path,
  positive,
  probability,
  promptReading,
  title,
  yesOrNo,
} from './fields.ts';
import { editorSchema, keysOfSchema } from './keys.ts';
import { runFields } from './run-fields.ts';
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
    topP: probability().default(1).meta({ change: 'sample' }),
    topK: integer(0).default(0).describe('0 is off').meta({ change: 'sample' }),
    maxNewTokens: integer(1).default(1024).meta({ change: 'sample' }),
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

const onError = () =>
  oneOf(['stop', 'drop'])
    .default('stop')
    .describe('stop: a failed call ends the run. drop: its prompt makes no pair')
    .meta({ change: 'warn' });
const functionRanker = z.strictObject({
  kind: z.literal('function').meta({ change: 'rank' }),
  module: path('a path to a .ts or .js module')
    .describe('Module that exports `reward` or `rank`')
    .meta({ change: 'rank', compared: 'by content' }),
  timeoutMs: integer(1).default(60_000).describe('Milliseconds one call may take').meta({ change: 'free' }),
  concurrency: integer(1).default(8).describe('Calls under way at once').meta({ change: 'free' }),
  onError: onError(),
});
const commandRanker = z.strictObject({
  kind: z.literal('command').meta({ change: 'rank' }),
  command: listOf(path('a text'), 'a list of texts such as [python3, reward.py]')
    .describe('Program in any language and its arguments; it reads questions and writes answers as lines of JSON')
    .meta({ change: 'rank' }),
  folder: path('a path to a folder')
    .default('.')
    .describe('Folder that it runs in')
    .meta({ change: 'rank', compared: 'by content' }),
  gives: oneOf(['scores', 'order']).default('scores').describe('What its answers hold').meta({ change: 'rank' }),
  timeoutMs: integer(1)
    .default(60_000)
    .describe('Milliseconds it may be silent while a question waits')
    .meta({ change: 'free' }),
  concurrency: integer(1).default(8).describe('Questions that wait for an answer at once').meta({ change: 'free' }),
  onError: onError(),
});
const rankerDtype = () =>
  oneOf(['float32', 'bfloat16'])
    .default('float32')
    .describe("Type of the ranker's computation; bfloat16 halves its memory")
    .meta({ change: 'rank' });
const batchTokens = () =>
  integer(1)
    .default(8192)
    .describe('Tokens of one item in memory at once: memory, never the result')
    .meta({ change: 'free' });
const pairRmRanker = z.strictObject({
  kind: z.literal('pairrm').meta({ change: 'rank' }),
  model: path('a path to a model folder')
    .describe('llm-blender/PairRM or llm-blender/PairRM-hf: its folder, or hub:owner/name')
    .meta({ change: 'rank', compared: 'by content' }),
  dtype: rankerDtype(),
  batchTokens: batchTokens(),
});
const rewardModelRanker = z.strictObject({
  kind: z.literal('reward-model').meta({ change: 'rank' }),
  model: path('a path to a model folder')
    .describe('Folder of a sequence classifier with one label')
    .meta({ change: 'rank', compared: 'by content' }),
  dtype: rankerDtype(),
  batchTokens: batchTokens(),
  maxTokens: integer(8)
    .nullable()
    .default(null)
    .describe("Tokens of prompt and response; null: the model's limit")
    .meta({ change: 'rank' }),
});
const judgePrompt = () =>
  path('a path or null')
    .nullable()
    .default(null)
    .describe('Prompt file; null: the one of the package')
    .meta({ change: 'rank', compared: 'by content' });
const judgeRanker = z.strictObject({
  kind: z.literal('judge').meta({ change: 'rank' }),
  model: path('a model name').describe('Name of the model, as its server knows it').meta({ change: 'rank' }),
  baseUrl: z
    .string({ error: 'a URL such as https://api.openai.com/v1' })
    .regex(/^https?:\/\/[^\s?#@]+$/, {
      error: 'a URL such as https://api.openai.com/v1, without user, query or key in it',
    })
    .describe('Address of an OpenAI-compatible server; prompts and responses are sent there')
    .meta({ change: 'free' }),
  apiKeyVariable: z
    .string({ error: 'a name or null' })
    .regex(/^[A-Z_][A-Z0-9_]*$/, { error: 'the name of an environment variable in capitals, never the key itself' })
    .nullable()
    .default(null)
    .describe('Environment variable that holds the key; null sends none')
    .meta({ change: 'free' }),
  ask: z
    .discriminatedUnion(
      'kind',
      [
        z.strictObject({
          kind: z.literal('pairwise').meta({ change: 'rank' }),
          read: oneOf(['auto', 'log-probabilities', 'text'])
            .default('auto')
            .describe('Soft preference from the first token, or the verdict in the text; auto: what the server gives')
            .meta({ change: 'rank' }),
          orders: oneOf(['both', 'random', 'alpaca-eval'])
            .default('both')
            .describe(
              'both: each pair is asked twice, each response first once. random: once, in a drawn order. alpaca-eval: once, in the order that alpaca_eval draws by the prompt',
            )
            .meta({ change: 'rank' }),
          opponents: oneOf(['all', 'one'])
            .default('all')
            .describe("all: each response against every other. one: against the data's chosen one, or the first")
            .meta({ change: 'rank' }),
          prompt: judgePrompt(),
        }),
        z.strictObject({ kind: z.literal('rating').meta({ change: 'rank' }), prompt: judgePrompt() }),
      ],
      { error: 'one of pairwise, rating' },
    )
    .prefault({ kind: 'pairwise' })
    .describe('What is asked about the responses'),
  temperature: fromZero().nullable().default(0).describe("null: the server's").meta({ change: 'rank' }),
  maxTokens: integer(1)
    .nullable()
    .default(null)
    .describe('Longest answer; null: 8 where a label is asked for, 1024 where an explanation is')
    .meta({ change: 'rank' }),
  budget: z
    .strictObject({
      calls: integer(1).nullable().default(null).describe('Requests, failed ones included').meta({ change: 'free' }),
      money: z
        .strictObject({
          limit: positive().meta({ change: 'free' }),
          promptPrice: fromZero().describe('Of a million prompt tokens').meta({ change: 'free' }),
          completionPrice: fromZero().describe('Of a million completion tokens').meta({ change: 'free' }),
        })
        .nullable()
        .default(null)
        .describe('In any currency')
        .meta({ change: 'free' }),
    })
    .prefault({})
    .describe('What the whole run may use; it stops before it uses more, and goes on when this is raised'),
  retries: integer(0).default(5).describe('Times a failed request is sent again').meta({ change: 'free' }),
  timeoutMs: integer(1).default(60_000).describe('Milliseconds one request may take').meta({ change: 'free' }),
  concurrency: integer(1).default(8).describe('Requests under way at once').meta({ change: 'free' }),
  onError: onError(),
});
/** People answer in the studio; there is nothing to set about them yet. */
const peopleRanker = z.strictObject({ kind: z.literal('people').meta({ change: 'rank' }) });

/** A `ranker` section alone. */
export const rankerSchema = z.discriminatedUnion(
  'kind',
  [functionRanker, commandRanker, pairRmRanker, rewardModelRanker, judgeRanker, peopleRanker],
  {
    error: 'one of function, command, pairrm, reward-model, judge, people',
  },
);
const ranker = rankerSchema.describe('What prefers one response to another');

const secondOpinion = z
  .strictObject({
    ranker: rankerSchema,
    share: number('a number from 0 to 1', (value) => value >= 0 && value <= 1)
      .default(0.1)
      .describe('Share of the prompts, drawn at random, that the second ranker ranks too')
      .meta({ change: 'rank' }),
    doubtMargin: fromZero()
      .nullable()
      .default(null)
      .describe('Also where the first is in doubt: best minus worst score up to this, a tie, or orders that disagree')
      .meta({ change: 'rank' }),
    decides: oneOf(['first', 'second'])
      .default('first')
      .describe('Whose verdict makes the pair where both have one')
      .meta({ change: 'pair' }),
  })
  .nullable()
  .default(null)
  .describe('A second ranker beside the first, to measure their agreement or to settle doubt')
  .meta({ change: 'rank' });

const rewardModel = z
  .strictObject({
    labels: integer(1)
      .describe('Prompts of each iteration that the ranker labels, drawn at random')
      .meta({ change: 'rank' }),
    alpha: fromZero()
      .describe("Weight of the optimism about the policy's samples; 0 is logistic regression alone")
      .meta({ change: 'rank' }),
    beta: fromZero()
      .default(1)
      .describe('Softness of the maximum that optimism looks at, in units of reward; 0 is the hard maximum')
      .meta({ change: 'rank' }),
    learningRate: positive().meta({ change: 'rank' }),
    epochs: integer(1)
      .default(1)
      .describe('Passes over the prompts of an iteration and the comparisons before it')
      .meta({ change: 'rank' }),
    batchSize: integer(1).default(16).describe('Prompts a step').meta({ change: 'rank' }),
  })
  .nullable()
  .default(null)
  .describe('A reward model learned from the ranker, which then ranks all prompts; null: the ranker ranks them')
  .meta({ change: 'rank' });

const beta = () =>
  positive()
    .default(0.01)
    .describe('Strength of the pull towards the reference, as in the paper')
    .meta({ change: 'train' });
const preference = z
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
      }),
    ],
    { error: 'one of dpo, ipo, hinge, sppo, kto' },
  )
  .describe('Loss on a pair');

const alpha = () =>
  z.union([fromZero(), listOf(fromZero(), 'a list of numbers, one each iteration')], {
    error: 'a number from 0, or a list of them, one each iteration',
  });
const exploration = z
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
      z.strictObject({ kind: z.literal('none').meta({ change: 'train' }) }),
    ],
    { error: 'one of selm, xpo, none' },
  )
  .describe('What makes the model look for better answers');

const objective = z.strictObject({ preference, exploration }).describe('What training minimises');

const training = z
  .strictObject({
    batchSize: integer(1).default(128).describe('Pairs a step').meta({ change: 'train' }),
    epochs: integer(1).default(1).describe('Passes over the pairs of an iteration').meta({ change: 'train' }),
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
const alpaca = z
  .strictObject({
    judge: z
      .strictObject({
        model: judgeName.meta({ change: 'free' }),
        ...{ baseUrl, apiKeyVariable },
        read: oneOf(['log-probabilities', 'text', 'auto'])
          .default('log-probabilities')
          .describe("As alpaca_eval's weighted annotator, or the verdict in the text where a server has none")
          .meta({ change: 'free' }),
        ...{ budget, retries, timeoutMs, concurrency },
      })
      .describe('The judge; its other settings are those of AlpacaEval'),
    reference: path('a path or null')
      .nullable()
      .default(null)
      .describe(
        "Instructions and the baseline's outputs, as `selm eval alpaca --reference`; null: the leaderboard's, from the Hub",
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
    judge: z
      .strictObject({
        model: judgeName.meta({ change: 'free' }),
        ...{ baseUrl, apiKeyVariable, budget, retries, timeoutMs, concurrency },
      })
      .describe("The judge; its other settings are FastChat's"),
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

const evaluate = z
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
    limit: integer(1).nullable().default(null).meta({ change: 'measure' }),
    samples: integer(1).default(1).meta({ change: 'measure' }),
    temperature: fromZero().default(0.7).meta({ change: 'measure' }),
    maxNewTokens: integer(1).nullable().default(null).describe("null: sampling's").meta({ change: 'measure' }),
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
    twin: yesOrNo()
      .default(false)
      .describe('Also run the same recipe with alpha = 0 and report both')
      .meta({ change: 'free' }),
  })
  .prefault({})
  .describe('What is measured after each iteration');

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
    update: oneOf(['best-and-worst', 'replace', 'all-pairs', 'data-over-response', 'keep'])
      .default('best-and-worst')
      .describe(
        "Pairs from the candidates: best and worst of all; the response in place of the data's chosen or rejected; every two; the data's chosen over the response (SPIN); the data's own, nothing sampled",
      )
      .meta({ change: 'pair' }),
    minMargin: fromZero()
      .nullable()
      .default(null)
      .describe('Leave out pairs whose scores differ by less; null takes all')
      .meta({ change: 'pair' }),
    accumulate: yesOrNo()
      .default(false)
      .describe('Train on the pairs of earlier iterations too')
      .meta({ change: 'train' }),
    sampling,
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

/** The `ranker` section, resolved. */
export type RankerSettings = Recipe['ranker'];

/** The `evaluate.benchmarks` section of a recipe that has one. */
export type BenchmarkSettings = NonNullable<Recipe['evaluate']['benchmarks']>;

/** The `evaluate.alpaca` section of a recipe that has one. */
export type AlpacaSettings = NonNullable<Recipe['evaluate']['alpaca']>;

/** The `evaluate.mtBench` section of a recipe that has one. */
export type MtBenchSettings = NonNullable<Recipe['evaluate']['mtBench']>;

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
