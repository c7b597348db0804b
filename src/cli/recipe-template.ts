/** @file What `selm init` writes: a recipe with a reason beside each setting, and a reward module to start from. */
import type { Columns } from '../data/known-forms.ts';

/** What a recipe is made of; paths as they are to stand in it. */
export interface RecipeAnswers {
  name: string;
  model: string;
  data: string;
  reward: string;
  iterations: number;
  /** Whether the data bring chosen and rejected responses, or prompts alone. */
  rows: 'pairs' | 'prompts';
  /** Fields that the data name otherwise. */
  columns: Columns;
  /** Rows that cannot be used, and why, in a few words; null where all can. */
  badRows: string | null;
  /** Prompts to measure on. */
  holdOut: number;
  /** Pairs a step. */
  batchSize: number;
  learningRate: LearningRateChoice;
  /** The command that runs the recipe. */
  command: string;
  /** JSON Schema for editors, as it is to stand in the recipe. */
  schema: string;
}

/** A learning rate, and why it is that. */
export interface LearningRateChoice {
  value: number;
  reason: string;
}

/** Two models for which a rate was found: the paper's, and the one of our quickstart (docs/experiments/exploration.md). */
const TRIED = [
  { parameters: 7e9, learningRate: 5e-7 },
  { parameters: 2.6e5, learningRate: 3e-4 },
] as const;

/**
 * A learning rate for a model of so many weights (null: not known): on the line through the two that were tried, in logarithms,
 * to one digit.
 */
export function learningRateFor(parameters: number | null): LearningRateChoice {
  const [large, small] = TRIED;
  if (parameters === null) {
    return {
      value: large.learningRate,
      reason: "the paper's, for models of 7 billion weights; smaller ones need more",
    };
  }
  const slope = Math.log(small.learningRate / large.learningRate) / Math.log(small.parameters / large.parameters);
  const onLine = large.learningRate * (parameters / large.parameters) ** slope;
  const value = Number(Math.min(small.learningRate, Math.max(large.learningRate, onLine)).toPrecision(1));
  const size = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 2 }).format(parameters);
  const reason = `for ${size} weights: 5e-7 suits 7B (the paper), 3e-4 suits 260K (our quickstart), this lies between. If rewards/margins do not move, raise it; if responses degrade, lower it`;
  return { value, reason };
}

/** The recipe as YAML. It leaves out what most never change; the defaults of those are the paper's. */
export function recipeText(answers: RecipeAnswers): string {
  const { name, model, data, columns, iterations, rows, badRows, holdOut, batchSize, learningRate, command, schema } =
    answers;
  const dropped = badRows === null ? '' : `\n  onBadRow: drop # left out and counted: ${badRows}`;
  return `# yaml-language-server: $schema=${schema}
# ${command} --dry-run   says what it will do and cost
# ${command}
# Change any setting for one run with --set, for example --set training.learningRate=1e-6
# Paths are relative to this file.

name: ${name} # the run lies in runs/${name}
seed: 42 # every random number of the run follows from it

model: ${quoted(model)} # where training starts: a folder in Hugging Face layout, or hub:owner/name
data:
  train: ${quoted(data)} # ${rows === 'pairs' ? 'rows with a prompt, a chosen and a rejected response' : 'one prompt a row'}${columnsText(columns)}${dropped}

text:
  maxLength: 1024 # tokens of prompt and response together
  maxPromptLength: 512 # of a longer prompt the end is kept

iterations: ${iterations} # times to sample, rank and train; each sees its own slice of the data

sampling:
${samplingText(rows)}
  maxNewTokens: 256 # longer responses are cut; shorter is faster

${rankerText(answers)}

objective:
  preference:
    kind: dpo
    beta: 0.01 # pull towards the previous model: raise it when responses degrade
  exploration:
    kind: selm
    alpha: 0.001 # optimism; 0 is iterative DPO. The paper searched 0.0001 to 0.001

training:
  batchSize: ${batchSize} # pairs a step${batchSize === 128 ? ', as in the paper' : '; the paper has 128, which here would leave few steps'}
  epochs: 2 # passes over an iteration's pairs: the second learns more from the same verdicts while the model is near its base (docs/experiments/dial.md). The paper has 1: go back to it when KL passes some 20 nats, reward levels or the text suffers; [2, 1] does so after the first iteration
  learningRate: ${rateText(learningRate.value)} # ${learningRate.reason}
  microBatchTokens: 8192 # tokens in memory at once: lower it when memory runs out; results stay the same
  checkpointEverySteps: 50 # what a crash can cost; Ctrl-C saves first

evaluate:
${evaluateText(holdOut)}
  temperature: 1 # sampled as the model is, so that its distance from the base (KL) can be measured; 0 is greedy
`;
}

function columnsText(columns: Columns): string {
  const names = Object.entries(columns).map(([ours, theirs]) => `${ours}: ${quoted(theirs ?? '')}`);
  return names.length === 0
    ? ''
    : `\n  columns: { ${names.join(', ')} } # fields of the file that have other names than ours`;
}

/** `5.0e-7`: without the point YAML 1.1 would read a text. */
function rateText(rate: number): string {
  return rate.toExponential(1);
}

function evaluateText(holdOut: number): string {
  return holdOut === 0
    ? '  prompts: null # a file of held-out prompts, to see whether it works; the data are too few to take some off'
    : `  holdOut: ${holdOut} # prompts taken off the data and never trained on, to see whether it works; or prompts: a file of others`;
}

function rankerText({ reward }: Pick<RecipeAnswers, 'reward'>): string {
  if (/\.(ts|mts|js|mjs)$/.test(reward)) {
    return `ranker:
  kind: function
  module: ${quoted(reward)} # exports reward(prompt, responses) -> scores, higher is better`;
  }
  const command = reward.endsWith('.py')
    ? `[python3, ${quoted(reward)}]`
    : `[${quoted(/^\.*\//.test(reward) ? reward : `./${reward}`)}]`;
  return `ranker:
  kind: command
  command: ${command} # reads questions and writes scores as lines of JSON (docs/rewards.md)`;
}

function samplingText(rows: RecipeAnswers['rows']): string {
  if (rows === 'pairs') {
    return `  samples: 1 # responses of the policy beside the two of the data
  temperature: 0 # greedy, as the authors ran it; above 0 for several samples`;
  }
  return `  samples: 4 # responses a prompt: the best and the worst make the pair
  temperature: 0.8 # they have to differ, so above 0`;
}

/** JSON strings are YAML strings; plain names stay plain. */
function quoted(text: string): string {
  return /^[\w./][\w./-]*$/.test(text) ? text : JSON.stringify(text);
}

/** A reward module that works and says what to put in its place. */
export const REWARD_TEMPLATE = `/**
 * What does a better response look like? This module says so, and the policy learns it.
 *
 * \`reward\` gets a prompt (its text, or the last user message of a chat) and the responses that compete for it: samples of
 * the policy and, where the data have them, the chosen and the rejected one. It returns one finite number a response,
 * higher is better; only their order matters for training. It may be async: call a server, another model, a test suite.
 * In its place you may export \`rank(prompt, responses)\`, which returns their indices, best first.
 */
export function reward(prompt: string, responses: string[]): number[] {
  return responses.map((response) => score(prompt, response));
}

/**
 * To be replaced by your own. This one asks that a response takes up the words of its prompt, each once, and is about
 * 60 words long. Whatever is easier than what you mean will be found: read some responses after each iteration
 * (\`selm pairs RUN\`), and take back points for what you see.
 */
function score(prompt: string, response: string): number {
  const words = (text: string) => text.toLowerCase().match(/\\p{L}{4,}/gu) ?? [];
  const asked = new Set(words(prompt));
  const said = new Set(words(response));
  const takenUp = [...asked].filter((word) => said.has(word)).length / Math.max(1, asked.size);
  const length = response.split(/\\s+/).filter(Boolean).length;
  return takenUp - Math.abs(Math.log((length + 1) / 61)) / 4;
}

/** Optional: how sound a text is, from 0 (broken) to 1. The report plots it, and warns when the reward is gamed. */
export function guard(response: string): number {
  const words = response.toLowerCase().split(/\\s+/).filter(Boolean);
  return words.length === 0 ? 0 : new Set(words).size / words.length; // 1 without repetition
}
`;
