/**
 * @file Our side of `npm run bench -- sample`, in a process of its own: every prompt's samples at temperature 1, all of the
 * same length; prints one JSON line. The clock starts when the model is loaded and packed, and prefill counts. Prefill is then
 * measured alone, as tokens a second and as a share of the rate of a large product of the same type in the same process.
 * Usage: sample-run.ts MODEL PROMPTS.jsonl TOKENS SAMPLES BATCH DTYPE THREADS
 */
import { readFileSync } from 'node:fs';
import { blockWeights } from '../src/forecast/operations.ts';
import { loadModel } from '../src/model/load.ts';
import { randomKey } from '../src/random.ts';
import { generate } from '../src/sample/generate.ts';
import { openSampler } from '../src/sample/sampler.ts';
import { memoryStatistics } from '../src/torch/memory.ts';
import { setThreads } from '../src/torch/native.ts';
import { productRate } from './rates.ts';

const [modelPath = '', promptsPath = '', ...numbers] = process.argv.slice(2);
const [maxNewTokens = 128, samples = 1, batchSize = 64] = numbers.slice(0, 3).map(Number);
setThreads(Number(numbers[4] ?? 2));

const model = loadModel(modelPath);
const dtype = numbers[3] === 'bfloat16' ? 'bfloat16' : 'float32';
const sampler = openSampler(model, { dtype });
const requests = readFileSync(promptsPath, 'utf8')
  .trim()
  .split('\n')
  .map((line, i) => ({
    promptId: `p${i}`,
    promptIds: (JSON.parse(line) as { ids: number[] }).ids,
    samples: Array.from({ length: samples }, (_, sampleIndex) => ({ sampleIndex, key: randomKey(1, i, sampleIndex) })),
  }));
const options = { temperature: 1, topP: 1, topK: 0, stopIds: [], batchSize };

/** Makes all samples; returns the tokens made, and the time of the first one. */
async function run(work: typeof requests, newTokens: number): Promise<{ tokens: number; firstMs: number }> {
  let tokens = 0;
  let firstMs = 0;
  const onTokens = (): void => {
    firstMs ||= performance.now();
  };
  for await (const response of generate(sampler, work, { ...options, maxNewTokens: newTokens, onTokens }))
    tokens += response.tokenIds.length;
  return { tokens, firstMs };
}

await run(requests.slice(0, 2), 2);
const before = process.cpuUsage();
const startedMs = performance.now();
const { tokens, firstMs } = await run(requests, maxNewTokens);
const seconds = (performance.now() - startedMs) / 1000;
const { user, system } = process.cpuUsage(before);

const prefillMs = performance.now();
await run(
  requests.map((request) => ({ ...request, samples: request.samples.slice(0, 1) })),
  1,
);
const prefillSeconds = (performance.now() - prefillMs) / 1000;
const promptTokens = requests.reduce((sum, { promptIds }) => sum + promptIds.length, 0);

// Attention is left out, and the head, which sees one token a prompt; so do the last block's weights past its queries, keys and values.
const { layers, hiddenSize, heads, keyValueHeads, headSize } = model.config;
const weights = blockWeights(model.config);
const pastAttention = weights - hiddenSize * headSize * (heads + 2 * keyValueHeads);
const prefillOperations = 2 * (promptTokens * layers * weights - (promptTokens - requests.length) * pastAttention);
const peak = productRate(dtype);

process.stdout.write(
  `${JSON.stringify({
    tokens,
    seconds,
    tokens_per_s: tokens / seconds,
    // On a machine that others use too, with one thread, this is what can be compared.
    processor_s: (user + system) / 1e6,
    prefill_tokens_per_s: promptTokens / prefillSeconds,
    prefill_share_of_peak: prefillOperations / prefillSeconds / peak,
    peak_gflop_per_s: peak / 1e9,
    first_token_s: (firstMs - startedMs) / 1000,
    peak_rss_mb: Math.round(memoryStatistics().peakResidentBytes / 2 ** 20),
  })}\n`,
);
