/**
 * @file The quickstart's preference pairs: for each of its first prompts the best and the worst of eight samples of the
 * base model by the quickstart's reward. For the recipes whose method starts from pairs. Run:
 * `npx tsx scripts/make-quickstart-pairs.ts [FOLDER]` (recipes/quickstart; the same file again on one thread).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reward } from '../recipes/quickstart/reward.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { loadModel } from '../src/model/load.ts';
import { randomKey } from '../src/random.ts';
import { generate } from '../src/sample/generate.ts';
import { openSampler } from '../src/sample/sampler.ts';
import { renderSamplingPrompts } from '../src/text/rendering.ts';
import { loadTokenizer } from '../src/text/tokenizer/tokenizer.ts';
import { setThreads } from '../src/torch/native.ts';

const PROMPTS = 384;
const SAMPLES = 8;
const SEED = 42;

const world = join(packageRoot, 'recipes', 'quickstart');
const [folder = world] = process.argv.slice(2);
const prompts = readFileSync(join(world, 'prompts.jsonl'), 'utf8')
  .trimEnd()
  .split('\n')
  .slice(0, PROMPTS)
  .map((line) => (JSON.parse(line) as { prompt: string }).prompt);

setThreads(1);
const directory = join(packageRoot, 'assets', 'stories260K');
const tokenizer = loadTokenizer(directory);
const model = loadModel(directory);
const sampler = openSampler(model);
const promptIds = renderSamplingPrompts(
  tokenizer,
  prompts.map((text) => ({ kind: 'text', text })),
  { rendering: 'clean', maxLength: 256, maxPromptLength: 64 },
);
const requests = prompts.map((text, index) => ({
  promptId: String(index),
  promptIds: promptIds[index] ?? [],
  samples: Array.from({ length: SAMPLES }, (_, sampleIndex) => ({
    sampleIndex,
    key: randomKey(SEED, 'quickstart pairs', text, sampleIndex),
  })),
}));
const options = { temperature: 1, topP: 1, topK: 0, maxNewTokens: 96, batchSize: 256, stopIds: tokenizer.stopIds };
const responses = new Map<string, string[]>();
for await (const { promptId, sampleIndex, tokenIds } of generate(sampler, requests, options)) {
  const own = responses.get(promptId) ?? [];
  own[sampleIndex] = tokenizer.decode(tokenIds).trim();
  responses.set(promptId, own);
}
const lines = prompts.flatMap((prompt, index) => {
  const texts = responses.get(String(index)) ?? [];
  const scores = reward(prompt, texts);
  const [chosen, rejected] = [Math.max(...scores), Math.min(...scores)].map((score) => texts[scores.indexOf(score)]);
  return chosen === rejected ? [] : [`${JSON.stringify({ prompt, chosen, rejected })}\n`];
});
writeFileSync(join(folder, 'pairs.jsonl'), lines.join(''));
sampler.dispose();
model.dispose();
console.error(`${lines.length} pairs of ${prompts.length} prompts`);
