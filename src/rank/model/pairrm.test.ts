/**
 * @file PairRM against an independent restatement in Python of its published description, on random weights in both
 * layouts (scripts/fixtures/rankers.py); and against the numbers that its authors print, where the real weights are there.
 */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testDevice } from '../../../test/support/device.ts';
import { packageRoot } from '../../files/package-root.ts';
import { loadTokenizer } from '../../text/tokenizer/tokenizer.ts';
import { memoryStatistics } from '../../torch/memory.ts';
import { scoresFromMatrix } from '../comparisons.ts';
import type { RankItem, Ranking } from '../ranker.ts';
import { openPairRmRanker, type PairRmOptions } from './pairrm.ts';
import { encodeItem, type PairTokens, pairIds, pairPromptText, pairTokens } from './pairrm-input.ts';
import { openPairRm } from './pairrm-model.ts';

const root = join(packageRoot, 'test', 'fixtures', 'rankers');

interface Expected {
  prompt: string;
  candidates: string[];
  pairs: { left: number; right: number; ids: number[] }[];
  matrix: number[][];
  scores: number[];
  /** From 1; ties share the better rank. */
  ranks: number[];
}

function expectedItems(name: string): Expected[] {
  return (JSON.parse(readFileSync(join(root, name, 'expected.json'), 'utf8')) as { items: Expected[] }).items;
}

function itemOf({ prompt, candidates }: Pick<Expected, 'prompt' | 'candidates'>, id = 'x'): RankItem {
  return {
    promptId: id,
    prompt: { kind: 'text', text: prompt },
    candidates: candidates.map((text, sampleIndex) => ({ kind: 'response', sampleIndex, text })),
  };
}

async function rank(directory: string, items: readonly RankItem[], options: PairRmOptions = {}): Promise<Ranking[]> {
  const ranker = openPairRmRanker(directory, { device: testDevice, ...options });
  const rankings: Ranking[] = [];
  try {
    const stream = async function* (): AsyncGenerator<RankItem> {
      yield* items;
    };
    for await (const ranking of ranker.rank(stream())) rankings.push(ranking);
  } finally {
    await ranker.close();
  }
  return rankings;
}

/** Ranks from 1 as LLM-Blender counts them, from an order and its ties. */
function ranksOf({ order, ties }: Ranking): number[] {
  const firstOfTie = (index: number): number => ties.find((tie) => tie.includes(index))?.[0] ?? index;
  return order.map((_, index) => 1 + order.indexOf(firstOfTie(index)));
}

function tokensOf(directory: string): PairTokens {
  const tokens = pairTokens(loadTokenizer(directory));
  if (tokens === null) throw new Error('No markers');
  return tokens;
}

describe.each(['pairrm', 'pairrm-hf'])('the layout %s', (name) => {
  const directory = join(root, name);
  const expected = expectedItems(name);

  it('is fed the ids of the restatement, cut where they are too long', () => {
    const model = openPairRm(directory, { dtype: 'float32', device: testDevice });
    const [tokenizer, tokens] = [loadTokenizer(directory), tokensOf(directory)];
    for (const { prompt, candidates, pairs } of expected) {
      const encoded = encodeItem(tokenizer, tokens, {
        prompt: { kind: 'text', text: prompt },
        candidates,
        limits: model.limits,
      });
      for (const { left, right, ids } of pairs) {
        const parts = {
          source: encoded.source,
          left: encoded.candidates[left] ?? [],
          right: encoded.candidates[right] ?? [],
        };
        const pair = pairIds(tokens, parts);
        expect(pair.ids).toEqual(ids);
        expect(pair.markers.map((at) => pair.ids[at])).toEqual([tokens.source, tokens.left, tokens.right]);
      }
    }
    model.dispose();
  });

  it('gives its logits within 1e-4', () => {
    const model = openPairRm(directory, { dtype: 'float32', device: testDevice });
    const tokens = tokensOf(directory);
    for (const { pairs, matrix } of expected) {
      const logits = model.logits(
        pairs.map(({ ids }) => ({
          ids,
          markers: [ids.indexOf(tokens.source), ids.indexOf(tokens.left), ids.indexOf(tokens.right)] as const,
        })),
      );
      pairs.forEach(
        ({ left, right }, i) =>
          void expect(Math.abs((logits[i] ?? 0) - (matrix[left]?.[right] ?? Number.NaN))).toBeLessThan(1e-4),
      );
    }
    model.dispose();
  });

  it('ranks as the restatement does: scores within 1e-4, the same ranks and ties', async () => {
    const rankings = await rank(
      directory,
      expected.map((item, i) => itemOf(item, String(i))),
    );
    expected.forEach(({ scores, ranks }, i) => {
      const ranking = rankings[i];
      if (ranking === undefined) throw new Error('No ranking');
      scores.forEach(
        (score, k) => void expect(Math.abs((ranking.scores?.[k] ?? Number.NaN) - score)).toBeLessThan(1e-4),
      );
      expect(ranksOf(ranking)).toEqual(ranks);
    });
  });
});

describe('openPairRmRanker()', () => {
  const directory = join(root, 'pairrm-hf');
  const [first, , third] = expectedItems('pairrm-hf');
  if (first === undefined || third === undefined) throw new Error('No items');

  it('ties equal texts, which the order then keeps as they stood', async () => {
    const [ranking] = await rank(directory, [itemOf(first)]);
    expect(ranking?.ties).toEqual([[1, 3]]);
    expect(ranking?.order).toEqual([2, 1, 3, 0]);
  });

  it('gives one candidate, or one text twice, nothing but a tie', async () => {
    const [one, two] = await rank(directory, [
      itemOf({ prompt: 'hello', candidates: ['no'] }),
      itemOf({ prompt: 'hello', candidates: ['no', 'no'] }),
    ]);
    expect(one).toEqual({ promptId: 'x', scores: [0], order: [0], ties: [] });
    expect(two).toEqual({ promptId: 'x', scores: [0, 0], order: [0, 1], ties: [[0, 1]] });
  });

  it('says what was too long, and nothing where all was read', async () => {
    const [cut, whole] = await rank(directory, [itemOf(third), itemOf(first)]);
    expect(cut?.cut).toEqual({ prompt: true, responses: 2 });
    expect(whole).not.toHaveProperty('cut');
  });

  it('gives an item the same bits alone, among others, and in small batches', async () => {
    const alone = await rank(directory, [itemOf(first)]);
    const among = await rank(directory, [itemOf(third), itemOf(first)]);
    expect(among[1]).toEqual(alone[0]);
    const [small] = await rank(directory, [itemOf(first)], { batchTokens: 1 });
    small?.scores?.forEach(
      (score, i) => void expect(Math.abs(score - (alone[0]?.scores?.[i] ?? 0))).toBeLessThan(1e-5),
    );
  });

  it('ranks in bfloat16 close to float32, and names the type in its id', async () => {
    const [half] = await rank(directory, [itemOf(first)], { dtype: 'bfloat16' });
    first.scores.forEach(
      (score, i) => void expect(Math.abs((half?.scores?.[i] ?? Number.NaN) - score)).toBeLessThan(0.05),
    );
    const ranker = openPairRmRanker(directory, { dtype: 'bfloat16', device: testDevice });
    expect(ranker.id).toMatch(/^pairrm:pairrm-hf:bfloat16:sha256=[0-9a-f]{64}$/);
    expect(ranker.gives).toBe('comparisons');
    await ranker.close();
  });

  it('gives every tensor back when it is closed', async () => {
    const before = memoryStatistics().liveTensors;
    await rank(directory, [itemOf(first)]);
    expect(memoryStatistics().liveTensors).toBe(before);
  });
});

describe('what is no PairRM', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'selm-pairrm-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const copyOf = (name: string, change: (copy: string) => void): string => {
    const copy = mkdtempSync(join(folder, 'copy-'));
    cpSync(join(root, name), copy, { recursive: true });
    change(copy);
    return copy;
  };
  const editConfig = (copy: string, changes: Record<string, unknown>): void => {
    const path = join(copy, 'config.json');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...changes }));
  };

  it.each([
    ['a reward model', () => join(root, 'deberta-reward'), 'RANKER_ARCHITECTURE'],
    ['a decoder', () => join(packageRoot, 'assets', 'stories260K'), 'RANKER_ARCHITECTURE'],
    [
      "another model's tokenizer",
      () =>
        copyOf('pairrm-hf', (copy) =>
          cpSync(join(root, 'deberta-reward', 'tokenizer.json'), join(copy, 'tokenizer.json')),
        ),
      'RANKER_TOKENIZER',
    ],
    [
      'another architecture with its tokenizer',
      () => copyOf('pairrm-hf', (copy) => editConfig(copy, { architectures: ['LlamaForCausalLM'] })),
      'RANKER_ARCHITECTURE',
    ],
    [
      'another ranker of LLM-Blender',
      () => copyOf('pairrm', (copy) => editConfig(copy, { ranker_type: 'summareranker' })),
      'MODEL_UNSUPPORTED',
    ],
    ['several tasks', () => copyOf('pairrm-hf', (copy) => editConfig(copy, { n_tasks: 2 })), 'MODEL_UNSUPPORTED'],
    [
      'sizes that the tensors do not have',
      () => copyOf('pairrm-hf', (copy) => editConfig(copy, { hidden_size: 64 })),
      'MODEL_WEIGHT_SHAPE',
    ],
    ['no tokenizer', () => copyOf('pairrm-hf', (copy) => rmSync(join(copy, 'tokenizer.json'))), 'TOKENIZER_FILES'],
    [
      'weights as pickle',
      () =>
        copyOf('pairrm', (copy) => {
          rmSync(join(copy, 'model.safetensors'));
          writeFileSync(join(copy, 'pytorch_model.bin'), 'x');
        }),
      'WEIGHTS_MISSING',
    ],
    ['no folder', () => join(root, 'none'), 'MODEL_FOLDER'],
  ])('%s is refused', (_, make, code) => {
    expect(() => openPairRmRanker(make())).toThrow(expect.objectContaining({ code, exitCode: 2 }));
  });
});

describe('a config.json without architectures', () => {
  it('is told by its tensors', () => {
    const folder = mkdtempSync(join(tmpdir(), 'selm-pairrm-'));
    cpSync(join(root, 'pairrm-hf'), folder, { recursive: true });
    const path = join(folder, 'config.json');
    const { architectures: _, ...rest } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify(rest));
    openPairRm(folder, { dtype: 'float32' }).dispose();
    rmSync(folder, { recursive: true });
  });
});

describe('pairPromptText()', () => {
  it('is the bare text of a single message, and names the roles of several', () => {
    expect(pairPromptText({ kind: 'chat', messages: [{ role: 'user', content: 'Hi' }] })).toBe('Hi');
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Yes?' },
      { role: 'user', content: 'Bye' },
    ];
    expect(pairPromptText({ kind: 'chat', messages })).toBe('USER: Hi\nASSISTANT: Yes?\nUSER: Bye');
  });
});

describe('scoresFromMatrix()', () => {
  it('averages both sides of every comparison, and sums to 0', () => {
    const scores = scoresFromMatrix([
      [0, 2, 4],
      [-1, 0, 1],
      [-5, 2, 0],
    ]);
    expect(scores).toEqual([(2 + 1 + 4 + 5) / 3, (-1 - 2 + 1 - 2) / 3, (-5 - 4 + 2 - 1) / 3]);
    expect(scores.reduce((sum, score) => sum + score, 0)).toBeCloseTo(0, 12);
  });
});

// The authors' own numbers (fp32, mode [A,B]) of their notebook pairrm_to_hf.ipynb. SELM_PAIRRM names a folder of
// llm-blender/PairRM or llm-blender/PairRM-hf.
const real = process.env.SELM_PAIRRM ?? '';
describe('the published PairRM', () => {
  it.skipIf(!existsSync(join(real, 'config.json')))(
    'gives 1.9003021717 and -1.2547134160 (skipped unless SELM_PAIRRM names a folder with its weights)',
    () => {
      const model = openPairRm(real, { dtype: 'float32' });
      const [tokenizer, tokens] = [loadTokenizer(real), tokensOf(real)];
      const cases = [
        ['hello!', 'hi!', 'f**k off!'],
        ['I love you!', 'I hate you!', 'I love you, too!'],
      ] as const;
      const logits = cases.flatMap(([prompt, ...candidates]) => {
        const encoded = encodeItem(tokenizer, tokens, {
          prompt: { kind: 'text', text: prompt },
          candidates,
          limits: model.limits,
        });
        const [left = [], right = []] = encoded.candidates;
        return model.logits([pairIds(tokens, { source: encoded.source, left, right })]);
      });
      model.dispose();
      expect(Math.abs((logits[0] ?? 0) - 1.9003021717071533)).toBeLessThan(1e-3);
      expect(Math.abs((logits[1] ?? 0) + 1.2547134160995483)).toBeLessThan(1e-3);
    },
    600_000,
  );
});
