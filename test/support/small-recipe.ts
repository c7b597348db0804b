/** @file A recipe that runs in seconds: the story model, 24 made-up prompts, a reward, two iterations with checkpoints. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { packageRoot } from '../../src/files/package-root.ts';

const NAMES = ['Lily', 'Tom', 'Mia', 'Ben', 'Sue', 'Max'];
const PLACES = ['park', 'house', 'forest', 'shop'];

/** Writes recipe.yaml, prompts and reward into `folder` and returns the recipe's path. `changes` go over the top-level keys. */
export function writeSmallRecipe(folder: string, changes: Record<string, unknown> = {}): string {
  mkdirSync(folder, { recursive: true });
  const rows = NAMES.flatMap((name) => PLACES.map((place) => ({ prompt: `${name} went to the ${place}.` })));
  writeFileSync(join(folder, 'prompts.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  writeFileSync(
    join(folder, 'reward.ts'),
    // Counts the letter a: enough to rank two samples.
    'export function reward(_prompt: string, responses: string[]): number[] {\n  return responses.map((text) => text.split("a").length);\n}\n',
  );
  const recipe = {
    name: 'small',
    seed: 3,
    model: join(packageRoot, 'assets', 'stories260K'),
    threads: 1,
    data: { train: 'prompts.jsonl' },
    text: { prompts: 'raw', maxLength: 64, maxPromptLength: 32 },
    iterations: 2,
    sampling: { samples: 2, temperature: 1, maxNewTokens: 16, batchSize: 6 },
    ranker: { kind: 'function', module: 'reward.ts' },
    objective: { preference: { kind: 'dpo', beta: 0.1 }, exploration: { kind: 'selm', alpha: 0.01 } },
    training: { batchSize: 3, learningRate: 0.0005, microBatchTokens: 64, checkpointEverySteps: 1 },
    evaluate: { explorationPrompts: 4 },
    ...changes,
  };
  const path = join(folder, 'recipe.yaml');
  writeFileSync(path, stringify(recipe));
  return path;
}
