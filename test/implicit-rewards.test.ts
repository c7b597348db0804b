/** @file Implicit rewards of pairs (Figure 4) against log-probabilities summed over the plain decoder's logits. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';
import { implicitRewards } from '../src/loop/evaluation/implicit-rewards.ts';
import { loadModel } from '../src/model/load.ts';
import { readRunConfig } from '../src/store/run-config.ts';
import { renderPair } from '../src/text/rendering.ts';
import { loadTokenizer } from '../src/text/tokenizer/tokenizer.ts';
import { noGrad } from '../src/torch/autograd.ts';
import { scope, toFloat32Array } from '../src/torch/tensor.ts';
import { plainLogits } from './support/plain-decoder.ts';
import { run } from './support/small-run.ts';

const BASE = join(packageRoot, 'assets', 'stories260K');
const ROWS = [
  { prompt: 'Tom saw a dog.', chosen: ' He was happy.', rejected: ' The end.' },
  { prompt: 'Lily had a red ball.', chosen: ' She ran to the park.', rejected: ' It.' },
  { prompt: 'A prompt alone.' },
];

/** log pi(response | prompt) of every pair, one sequence at a time. */
function logProbs(
  directory: string,
  sequences: readonly { promptIds: ArrayLike<number>; responseIds: ArrayLike<number> }[],
) {
  const model = loadModel(directory);
  try {
    return sequences.map(({ promptIds, responseIds }) => {
      const ids = [...Array.from(promptIds), ...Array.from(responseIds)];
      const logits = scope('plain', () =>
        noGrad(() => toFloat32Array(plainLogits(model.config, model.weights, [ids]))),
      );
      const width = model.config.vocabularySize;
      return Array.from(responseIds).reduce((sum, id, place) => {
        const row = logits.subarray((promptIds.length + place - 1) * width, (promptIds.length + place) * width);
        const top = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
        const total = row.reduce((all, value) => all + Math.exp(value - top), 0);
        return sum + (row[id] ?? Number.NaN) - top - Math.log(total);
      }, 0);
    });
  } finally {
    model.dispose();
  }
}

it('are beta times the log-ratio of the last model to the base, pair by pair; rows without a pair are left out', async () => {
  const { output } = await run({ iterations: 1, data: { train: 'prompts.jsonl', onBadRow: 'drop' } });
  const recipe = readRunConfig(output)?.recipe;
  if (recipe === undefined) throw new Error('The run was made above');
  const file = join(dirname(output), 'pairs.jsonl');
  writeFileSync(file, ROWS.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const found = await implicitRewards(recipe, { file, limit: 10, iteration: 1, known: new Map() });

  const tokenizer = loadTokenizer(BASE);
  const pairs = ROWS.slice(0, 2).map(({ prompt, chosen = '', rejected = '' }) =>
    renderPair(
      tokenizer,
      {
        prompt: { kind: 'text', text: prompt },
        chosen: { text: chosen },
        rejected: { text: rejected },
        response: null,
      },
      recipe.text,
    ),
  );
  for (const which of ['chosen', 'rejected'] as const) {
    const sequences = pairs.map((pair) => pair[which]);
    const [policy, base] = [join(output, 'iteration-1', 'model'), BASE].map((model) => logProbs(model, sequences));
    const expected = sequences.map((_, index) => 0.1 * ((policy?.[index] ?? 0) - (base?.[index] ?? 0)));
    expect(found[which]).toHaveLength(2);
    // Sums of some ten log-probabilities in float32, in another order.
    const errors = found[which].map((reward, index) => Math.abs(reward - (expected[index] ?? 0)));
    expect(Math.max(...errors)).toBeLessThan(1e-5);
    expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(1e-3);
  }
});

it('say that a file has no pairs, and that a model is gone', async () => {
  const { output } = await run({ iterations: 1 });
  const recipe = readRunConfig(output)?.recipe;
  if (recipe === undefined) throw new Error('The run was made above');
  const file = join(dirname(output), 'prompts.jsonl');
  const options = { file, limit: 10, iteration: 1, known: new Map() };
  await expect(implicitRewards(recipe, options)).rejects.toMatchObject({ code: 'PAIRS_MISSING' });
  await expect(implicitRewards(recipe, { ...options, iteration: 2 })).rejects.toMatchObject({ code: 'MODEL_GONE' });
});
