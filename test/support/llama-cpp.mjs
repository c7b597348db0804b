/**
 * @file llama.cpp as an oracle, in a process of its own (its OpenMP and LibTorch's must not meet). Reads a JSON list of
 * tasks from standard input, writes a JSON list of answers. A task: `{gguf, prompt: ids, count, texts}`; its answer: greedy
 * `ids`, their summed `logProb`, and the ids that llama.cpp reads each text as. Keys and values are kept in fp32, so that only weights round.
 */
import { readFileSync } from 'node:fs';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: LlamaLogLevel.error });
const answers = [];
for (const { gguf, prompt, count, texts } of JSON.parse(readFileSync(0, 'utf8'))) {
  const model = await llama.loadModel({ modelPath: gguf, gpuLayers: 0, useMmap: false });
  const kept = { experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' };
  const context = await model.createContext({ contextSize: 256, threads: 1, flashAttention: false, ...kept });
  const ids = [];
  const sequence = context.getSequence();
  let logProb = 0;
  const options = { temperature: 0, yieldEogToken: true };
  for await (const { token, confidence } of sequence.evaluateWithMetadata(prompt, { confidence: true }, options)) {
    ids.push(token);
    logProb += Math.log(confidence);
    if (ids.length === count) break;
  }
  answers.push({ ids, logProb, texts: texts.map((text) => model.tokenize(text, true)) });
  await context.dispose();
  await model.dispose();
}
process.stdout.write(JSON.stringify(answers));
process.exit(0);
