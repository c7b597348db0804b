/** @file What `selm init` writes: a recipe with a reason beside each setting, and a reward module to start from. */

/** Answers that a recipe is made of; paths as they are to stand in it, relative to its folder. */
export interface RecipeAnswers {
  name: string;
  model: string;
  data: string;
  reward: string;
  iterations: number;
  /** Whether the data bring chosen and rejected responses, or prompts alone. */
  rows: 'pairs' | 'prompts';
  /** Pairs a step. */
  batchSize: number;
  /** The command that runs the recipe. */
  command: string;
}

/** The recipe as YAML. It leaves out what most never change; the defaults of those are the paper's. */
export function recipeText({ name, model, data, reward, iterations, rows, batchSize, command }: RecipeAnswers): string {
  return `# ${command}
# Change any setting for one run with --set, for example --set training.learningRate=1e-6
# Paths are relative to this file.

name: ${name} # the run lies in runs/${name}
seed: 42 # every random number of the run follows from it

model: ${quoted(model)} # where training starts: a folder in Hugging Face layout
data:
  train: ${quoted(data)} # JSONL, ${rows === 'pairs' ? 'rows with a prompt, a chosen and a rejected response' : 'one prompt a row'}

text:
  maxLength: 1024 # tokens of prompt and response together
  maxPromptLength: 512 # of a longer prompt the end is kept

iterations: ${iterations} # times to sample, rank and train; each sees its own slice of the data

sampling:
${samplingText(rows)}
  maxNewTokens: 256 # longer responses are cut; shorter is faster

ranker:
  kind: function
  module: ${quoted(reward)} # exports reward(prompt, responses) -> scores, higher is better

objective:
  preference:
    kind: dpo
    beta: 0.01 # pull towards the previous model: raise it when responses degrade
  exploration:
    kind: selm
    alpha: 0.001 # optimism; 0 is iterative DPO. The paper searched 0.0001 to 0.001

training:
  batchSize: ${batchSize} # pairs a step${batchSize === 128 ? ', as in the paper' : '; the paper has 128, which here would leave few steps'}
  learningRate: 5.0e-7 # the paper's, for models of 7 billion parameters; small models need more
  microBatchTokens: 8192 # tokens in memory at once: lower it when memory runs out; results stay the same
  checkpointEverySteps: 50 # what a crash can cost; Ctrl-C saves first

evaluate:
  prompts: null # a JSONL file of held-out prompts, to see whether it works
`;
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
