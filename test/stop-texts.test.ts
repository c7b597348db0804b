/** @file What a run keeps of responses that a stop text cut: ids that were sampled, and the log-probabilities of those ids. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { parseRow } from '../src/data/rows.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { type SampledResponse, sampledResponses } from '../src/loop/stages/responses.ts';
import { withModel } from '../src/model/load.ts';
import { scoreTrees } from '../src/score/log-probs.ts';
import { packTrees } from '../src/score/packing.ts';
import { openPolicy } from '../src/score/policy.ts';
import { buildTree } from '../src/score/trees.ts';
import { openLedger } from '../src/store/ledger.ts';
import { renderPrompt } from '../src/text/rendering.ts';
import { loadTokenizer } from '../src/text/tokenizer/tokenizer.ts';
import { run } from './support/small-run.ts';

const stories = join(packageRoot, 'assets', 'stories260K');
const tokenizer = loadTokenizer(stories);

/** What is kept of one sequence that a stop text may cut. */
function keptOf(sequence: Parameters<typeof sampledResponses>[1][number], stop: string): SampledResponse {
  const [only] = sampledResponses(tokenizer, [sequence], [stop]);
  if (only === undefined) throw new Error('A sequence has one response');
  return only.kept;
}

it('keeps the log-probability of the ids that it keeps, and finds no distance between a policy and itself', async () => {
  const { output } = await run({
    iterations: 1,
    training: { batchSize: 3, learningRate: 1e-12 },
    sampling: { samples: 2, temperature: 1, maxNewTokens: 24, stop: ['.'] },
    evaluate: { prompts: 'prompts.jsonl', temperature: 1, maxNewTokens: 24 },
  });
  const ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  const responses = ledger.responses(1);
  const evaluation = ledger.record(1, 'evaluation');
  ledger.close();

  // The policy is the base still; fp32 sums over 24 tokens in another order differ by less than 1e-4.
  expect(Math.abs(evaluation?.data.klToBase?.value ?? Number.NaN)).toBeLessThan(1e-3);

  const lines = readFileSync(join(dirname(output), 'prompts.jsonl'), 'utf8')
    .trim()
    .split('\n');
  const prompts = new Map(
    lines.map((line) => {
      const parsed = parseRow(line, { file: 'prompts.jsonl', line: 1 });
      if (parsed.kind !== 'row') throw new Error('Every row is a prompt');
      return [parsed.row.promptId, renderPrompt(tokenizer, parsed.row.prompt, 'clean')];
    }),
  );
  const policy = withModel(stories, (model) => openPolicy(model, { dtype: 'float32', purpose: 'score' }));
  let stopped = 0;
  for (const { promptId, tokenIds, text, logProb, finish } of responses) {
    stopped += finish === 'stop' ? 1 : 0;
    expect(tokenizer.decode(Array.from(tokenIds)).trim()).toBe(text);
    if (tokenIds.length === 0) continue;
    const ids = { chosenIds: tokenIds, rejectedIds: tokenIds, responseIds: null };
    const tree = buildTree({ pairId: 'x', promptIds: Int32Array.from(prompts.get(promptId) ?? []), ...ids });
    const [scored] = scoreTrees(policy, packTrees([tree])).get('x') ?? [];
    expect(Math.abs((scored ?? Number.NaN) - logProb)).toBeLessThan(1e-3);
  }
  policy.dispose();
  expect(stopped).toBeGreaterThan(responses.length / 2);
});

it('cuts whole tokens, also where a stop text begins inside of one', () => {
  const tokenIds = tokenizer.encode('Tom saw a dog. The end');
  const tokenLogProbs = tokenIds.map((_, i) => -(2 ** -i));
  for (const stop of ['.', 'e end', 'og', 'aw a', ' The', 'Tom']) {
    const { text, ids, logProb } = keptOf({ tokenIds, endId: null, tokenLogProbs }, stop);
    expect(ids).toEqual(tokenIds.slice(0, ids.length));
    expect(text).toBe(tokenizer.decode(ids).trim());
    expect(text).not.toContain(stop);
    expect(tokenizer.decode(tokenIds.slice(0, ids.length + 1)).length).toBeGreaterThan(
      'Tom saw a dog. The end'.indexOf(stop),
    );
    expect(logProb).toBe(tokenLogProbs.slice(0, ids.length).reduce((sum, value) => sum + value, 0));
  }
});

it('reads several sequences in one call, each as it reads it alone', () => {
  const sequences = ['Tom saw a dog. The end', 'Once', ''].map((text) => {
    const tokenIds = tokenizer.encode(text);
    return { tokenIds, endId: null, tokenLogProbs: tokenIds.map(() => -1) };
  });
  const together = sampledResponses(tokenizer, sequences, ['.']);
  expect(together.map(({ sequence }) => sequence)).toEqual(sequences);
  expect(together.map(({ kept }) => kept)).toEqual(sequences.map((each) => keptOf(each, '.')));
  expect(together.map(({ kept: { text } }) => text)).toEqual(['Tom saw a dog', 'Once', '']);
});

it('keeps everything of a response without a stop text, its end token too', () => {
  const tokenIds = tokenizer.encode('Tom saw a dog.');
  const tokenLogProbs = [...tokenIds, 2].map(() => -1);
  const { text, ids, logProb } = keptOf({ tokenIds, endId: 2, tokenLogProbs }, 'cat');
  expect([text, ids, logProb]).toEqual(['Tom saw a dog.', [...tokenIds, 2], -tokenIds.length - 1]);
});
