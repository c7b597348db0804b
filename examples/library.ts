// Aligns the small story model with a reward and compares it with what it was. Ctrl-C stops it at the next safe point;
// started again, it goes on. Run: npx tsx examples/library.ts [run folder]
import { fileURLToPath } from 'node:url';
import { generate, loadModel, rank, train } from 'selm';

const at = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const [output = 'runs/library-example'] = process.argv.slice(2);
const ranker = { kind: 'function', module: at('recipes/quickstart/reward.ts') } as const;
const recipe = {
  ...{ name: 'library-example', seed: 1, output, ranker, model: at('assets/stories260K'), iterations: 1 },
  data: { train: at('recipes/quickstart/prompts.jsonl'), limit: 16 },
  sampling: { samples: 2, temperature: 1, maxNewTokens: 24 },
  objective: { preference: { kind: 'dpo', beta: 0.1 }, exploration: { kind: 'selm', alpha: 0.005 } },
  training: { learningRate: 3e-4, batchSize: 4 },
} as const;

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
const training = train(recipe, { signal: stop.signal });
for await (const event of training) {
  if (event.kind === 'metrics') console.log(`step ${event.step}: loss ${event.values.loss?.toFixed(4)}`);
}
const { modelPath } = await training.result;

using before = loadModel(recipe.model);
const prompt = 'Once upon a time, there was a girl named Lily.';
const answers: string[] = [];
for await (const { text } of before.generate([prompt], { seed: 1, maxNewTokens: 40 })) answers.push(text);
for await (const { text } of generate(modelPath, [prompt], { seed: 1, maxNewTokens: 40 })) answers.push(text);
for await (const { scores } of rank([{ prompt, responses: answers }], { ranker })) console.log({ answers, scores });
