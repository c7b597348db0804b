/** @file The sections of a recipe that say what prefers one response to another: `ranker`, `secondOpinion`, `rewardModel`. */
import { z } from 'zod';
import { apiKeyVariable, fromZero, integer, listOf, number, oneOf, PLAIN_ADDRESS, path, positive } from './fields.ts';

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
export const judgeRanker = z.strictObject({
  kind: z.literal('judge').meta({ change: 'rank' }),
  model: path('a model name').describe('Name of the model, as its server knows it').meta({ change: 'rank' }),
  baseUrl: z
    .string({ error: 'a URL such as https://api.openai.com/v1' })
    .regex(PLAIN_ADDRESS, {
      error: 'a URL such as https://api.openai.com/v1, without user, query or key in it',
    })
    .describe('Address of an OpenAI-compatible server; prompts and responses are sent there')
    .meta({ change: 'free' }),
  apiKeyVariable: apiKeyVariable(),
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
          limit: positive().describe('Most that may be spent').meta({ change: 'free' }),
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
const peopleRanker = z.strictObject({
  kind: z.literal('people').meta({ change: 'rank' }),
  votes: integer(1)
    .default(1)
    .describe('Different people who answer each question; more than one also tells how able each of them is')
    .meta({ change: 'warn' }),
  muchBetter: positive()
    .default(2)
    .describe('Weight of a pair that people call much better, with labels: soft; others have 1')
    .meta({ change: 'warn' }),
  gold: z
    .strictObject({
      file: path('a path to a data file')
        .describe('Rows with prompt, chosen and rejected whose chosen is better beyond doubt')
        .meta({ change: 'warn', compared: 'by content' }),
      share: number('a number from 0 to 1', (value) => value >= 0 && value <= 1)
        .default(0.05)
        .describe('Gold questions, as a share of the others that they stand between')
        .meta({ change: 'warn' }),
    })
    .nullable()
    .default(null)
    .describe('Questions whose answer is known, to tell who answers well; nothing is trained on them')
    .meta({ change: 'warn' }),
  repeatShare: number('a number from 0 to 1', (value) => value >= 0 && value <= 1)
    .default(0)
    .describe('Share of the questions that whoever answered them is asked a second time, a few questions later')
    .meta({ change: 'warn' }),
});

/** A `ranker` section alone. */
export const rankerSchema = z.discriminatedUnion(
  'kind',
  [functionRanker, commandRanker, pairRmRanker, rewardModelRanker, judgeRanker, peopleRanker],
  {
    error: 'one of function, command, pairrm, reward-model, judge, people',
  },
);
export const ranker = rankerSchema.describe('What prefers one response to another');

export const secondOpinion = z
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
    unasked: oneOf(['left-out', 'ranked'])
      .default('left-out')
      .describe('What `select` does not ask the first about. left-out: it makes no pair. ranked: the second ranks it')
      .meta({ change: 'rank' }),
  })
  .nullable()
  .default(null)
  .describe('A second ranker beside the first, to measure their agreement or to settle doubt')
  .meta({ change: 'rank' });

export const rewardModel = z
  .strictObject({
    labels: integer(1)
      .nullable()
      .default(null)
      .describe('Prompts of each iteration that the ranker labels, drawn at random; null: those that `select` chooses')
      .meta({ change: 'rank' }),
    alpha: fromZero()
      .describe("Weight of the optimism about the policy's samples; 0 is logistic regression alone")
      .meta({ change: 'rank' }),
    beta: fromZero()
      .default(1)
      .describe('Softness of the maximum that optimism looks at, in units of reward; 0 is the hard maximum')
      .meta({ change: 'rank' }),
    learningRate: positive().describe('Highest learning rate of its fit').meta({ change: 'rank' }),
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
