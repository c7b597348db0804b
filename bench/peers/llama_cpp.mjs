/**
 * @file The peer of `npm run bench -- decode`: llama.cpp by node-llama-cpp's own binary, one greedy sequence; prints one JSON line. The
 * clock starts when the model is loaded and has answered once. Usage: llama_cpp.mjs MODEL.gguf PROMPT.json TOKENS THREADS
 */
import { readFileSync } from 'node:fs';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const [modelPath, promptPath, tokens, threads] = process.argv.slice(2);
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
const context = await model.createContext({
  contextSize: 2048,
  threads: { ideal: Number(threads), min: Number(threads) },
});
const prompt = JSON.parse(readFileSync(promptPath, 'utf8'));

async function answer(count) {
  const sequence = context.getSequence();
  const ids = [];
  const times = [];
  const begin = performance.now();
  for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    ids.push(token);
    times.push(performance.now() - begin);
    if (ids.length === count) break;
  }
  await sequence.dispose();
  return { ids, times };
}

await answer(8);
const { ids, times } = await answer(Number(tokens));
const [first, last] = [times[0], times.at(-1)];
const peak = Math.round(process.resourceUsage().maxRSS / 1024);
process.stdout.write(
  `${JSON.stringify({ ids, first_token_s: first / 1000, tokens_per_s: ((ids.length - 1) * 1000) / (last - first), peak_rss_mb: peak })}\n`,
);
process.exit(0);
