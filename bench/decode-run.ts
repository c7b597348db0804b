/**
 * @file Our side of `npm run bench -- decode`, in a process of its own: one greedy sequence; prints one JSON line. The clock starts when
 * the model is loaded and has answered once. Usage: decode-run.ts MODEL PROMPT.json TOKENS DTYPE THREADS
 */
import { readFileSync } from 'node:fs';
import { loadModel } from '../src/model/load.ts';
import { randomKey } from '../src/random.ts';
import { generate } from '../src/sample/generate.ts';
import { openSampler } from '../src/sample/sampler.ts';
import { memoryStatistics } from '../src/torch/memory.ts';
import { setThreads } from '../src/torch/native.ts';

const [modelPath = '', promptPath = '', tokens = '', dtype = '', threads = ''] = process.argv.slice(2);
setThreads(Number(threads));
const sampler = openSampler(loadModel(modelPath), { dtype: dtype === 'bfloat16' ? 'bfloat16' : 'float32' });
const promptIds = JSON.parse(readFileSync(promptPath, 'utf8')) as number[];

/** The tokens of one answer, and when each came, in milliseconds after the question. */
async function answer(maxNewTokens: number): Promise<{ ids: number[]; times: number[] }> {
  const request = { promptId: 'x', promptIds, samples: [{ sampleIndex: 0, key: randomKey(0) }] };
  const times: number[] = [];
  const begin = performance.now();
  const onTokens = (): void => void times.push(performance.now() - begin);
  const options = { temperature: 0, topP: 1, topK: 0, maxNewTokens, stopIds: [], batchSize: 1, onTokens };
  for await (const { tokenIds } of generate(sampler, [request], options)) return { ids: tokenIds, times };
  throw new Error('One prompt has one answer');
}

await answer(8);
const { ids, times } = await answer(Number(tokens));
const [first = Number.NaN, last = Number.NaN] = [times[0], times.at(-1)];
process.stdout.write(
  `${JSON.stringify({
    ids,
    first_token_s: first / 1000,
    tokens_per_s: ((ids.length - 1) * 1000) / (last - first),
    peak_rss_mb: Math.round(memoryStatistics().peakResidentBytes / 2 ** 20),
  })}\n`,
);
