/**
 * @file Reward models against transformers' sequence classifiers on small random checkpoints (scripts/fixtures/rankers.py):
 * every family of decoders, DeBERTa-v2/v3 and RoBERTa; what they read, what is cut, and what is refused.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testDevice } from '../../../test/support/device.ts';
import { packageRoot } from '../../files/package-root.ts';
import { openClassifier } from '../../model/classifier/classifier.ts';
import { packSequences } from '../../model/classifier/decoder-classifier.ts';
import { loadTokenizer } from '../../text/tokenizer/tokenizer.ts';
import { memoryStatistics } from '../../torch/memory.ts';
import type { RankItem, Ranking } from '../ranker.ts';
import { rewardSequences } from './reward-input.ts';
import { openRewardModel, type RewardModelOptions } from './reward-model.ts';

const root = join(packageRoot, 'test', 'fixtures', 'rankers');
const decoders = readdirSync(join(root, 'decoders')).map((name) => `decoders/${name}`);
const encoders = ['deberta-reward', 'roberta-reward'];

interface Expected {
  cases: { prompt: string; answer: string; ids: number[]; score: number }[];
  /** Ids that end with the padding token. */
  padded?: { ids: number[]; score: number };
}

function read(name: string): Expected {
  return JSON.parse(readFileSync(join(root, name, 'expected.json'), 'utf8')) as Expected;
}

/** One item a prompt, with all of its answers. */
function itemsOf({ cases }: Expected): { item: RankItem; scores: number[] }[] {
  return [...new Set(cases.map(({ prompt }) => prompt))].map((prompt, i) => {
    const own = cases.filter((each) => each.prompt === prompt);
    const candidates = own.map(({ answer }, sampleIndex) => ({ kind: 'response' as const, sampleIndex, text: answer }));
    const item = { promptId: String(i), prompt: { kind: 'text' as const, text: prompt }, candidates };
    return { item, scores: own.map(({ score }) => score) };
  });
}

async function rank(
  directory: string,
  items: readonly RankItem[],
  options: RewardModelOptions = {},
): Promise<Ranking[]> {
  const ranker = openRewardModel(directory, { device: testDevice, ...options });
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

function expectClose(
  actual: readonly number[] | null | undefined,
  expected: readonly number[],
  tolerance: number,
): void {
  expect(actual?.length).toBe(expected.length);
  expected.forEach((value, i) => void expect(Math.abs((actual?.[i] ?? Number.NaN) - value)).toBeLessThan(tolerance));
}

describe.each([...decoders, ...encoders])('the reward model %s', (name) => {
  const directory = join(root, name);
  const expected = read(name);

  it('reads the ids that transformers makes of a prompt and an answer', () => {
    const tokenizer = loadTokenizer(directory);
    const family = name === 'deberta-reward' ? 'deberta' : name === 'roberta-reward' ? 'roberta' : 'decoder';
    for (const { prompt, answer, ids } of expected.cases) {
      const input = { prompt: { kind: 'text' as const, text: prompt }, responses: [answer], maxTokens: 512 };
      expect(rewardSequences(tokenizer, family, input)).toEqual({
        sequences: [ids],
        cut: { prompt: false, responses: 0 },
      });
    }
  });

  it('scores as transformers does within 1e-4, whole items on one stream', async () => {
    const items = itemsOf(expected);
    const rankings = await rank(
      directory,
      items.map(({ item }) => item),
    );
    items.forEach(({ scores }, i) => void expectClose(rankings[i]?.scores, scores, 1e-4));
  });
});

describe('a decoder with a score head', () => {
  const directory = join(root, 'decoders', 'llama3');
  const expected = read('decoders/llama3');

  it('is scored at its last token that is not padding, as in transformers', () => {
    const model = openClassifier(directory, { dtype: 'float32', device: testDevice });
    const { padded } = expected;
    if (padded === undefined) throw new Error('No padded case');
    expectClose(model.scores([padded.ids]), [padded.score], 1e-4);
    model.dispose();
  });

  it('gives the same numbers in bfloat16, to the 8 bits of its products', async () => {
    const [{ item, scores } = { item: null, scores: [] }] = itemsOf(expected);
    if (item === null) throw new Error('No item');
    const [ranking] = await rank(directory, [item], { dtype: 'bfloat16' });
    expectClose(ranking?.scores, scores, 0.1);
  });

  it('scores an item alike alone, among others, and cut into small batches', async () => {
    const items = itemsOf(expected).map(({ item }) => item);
    const all = await rank(directory, items);
    const alone = await rank(directory, items.slice(1));
    expect(alone[0]).toEqual(all[1]);
    const small = await rank(directory, items.slice(1), { batchTokens: 1 });
    expectClose(small[0]?.scores, all[1]?.scores ?? [], 1e-5);
  });

  it('gives every tensor back when it is closed', async () => {
    const before = memoryStatistics().liveTensors;
    await rank(
      directory,
      itemsOf(expected).map(({ item }) => item),
    );
    expect(memoryStatistics().liveTensors).toBe(before);
  });
});

describe('packSequences()', () => {
  it('puts what sequences share once, and finds the last token of each', () => {
    const { tokens, rows } = packSequences(
      [
        [1, 2, 3],
        [1, 2],
        [1, 2, 4, 5],
      ],
      Number.POSITIVE_INFINITY,
    );
    expect([Array.from(tokens.ids_T), Array.from(tokens.positions_T)]).toEqual([
      [1, 2, 3, 4, 5],
      [0, 1, 2, 2, 3],
    ]);
    expect(tokens.segments).toEqual([0, 2, -1, 2, 1, 0, 3, 2, 0]);
    expect(rows).toEqual([2, 1, 4]);
  });

  it('shares nothing between sequences whose rope differs', () => {
    const { tokens, rows } = packSequences(
      [
        [1, 2, 3],
        [1, 2],
      ],
      2,
    );
    expect(tokens.segments).toEqual([0, 3, -1, 3, 2, -1]);
    expect([Array.from(tokens.long_T), rows]).toEqual([
      [1, 1, 1, 0, 0],
      [2, 4],
    ]);
  });
});

describe('rewardSequences()', () => {
  const decoder = loadTokenizer(join(root, 'decoders', 'llama3'));
  const text = (prompt: string) => ({ kind: 'text' as const, text: prompt });
  const whole = (tokenizer: typeof decoder, family: 'decoder' | 'deberta', prompt: string, answer: string) =>
    rewardSequences(tokenizer, family, { prompt: text(prompt), responses: [answer], maxTokens: 512 }).sequences[0] ??
    [];

  it('cuts the beginning of what is too long for a decoder, behind the start token', () => {
    const ids = whole(decoder, 'decoder', 'a long question', 'no');
    const cut = rewardSequences(decoder, 'decoder', {
      prompt: text('a long question'),
      responses: ['no'],
      maxTokens: 20,
    });
    expect(cut).toEqual({ sequences: [[1, ...ids.slice(-19)]], cut: { prompt: true, responses: 0 } });
  });

  it('says so when a response alone is too long', () => {
    const { cut } = rewardSequences(decoder, 'decoder', {
      prompt: text('a'),
      responses: ['very '.repeat(30), 'b'],
      maxTokens: 40,
    });
    expect(cut).toEqual({ prompt: true, responses: 1 });
  });

  it("cuts a pair's prompt at its beginning, then the response at its end", () => {
    const tokenizer = loadTokenizer(join(root, 'deberta-reward'));
    const ids = whole(tokenizer, 'deberta', 'the egg is in water', 'no');
    const cut = rewardSequences(tokenizer, 'deberta', {
      prompt: text('the egg is in water'),
      responses: ['no'],
      maxTokens: ids.length - 2,
    });
    expect(cut).toEqual({ sequences: [[1, ...ids.slice(3)]], cut: { prompt: true, responses: 0 } });
    const answer = whole(tokenizer, 'deberta', '', 'the egg is in water');
    const both = rewardSequences(tokenizer, 'deberta', {
      prompt: text('no'),
      responses: ['the egg is in water'],
      maxTokens: answer.length - 1,
    });
    expect(both).toEqual({ sequences: [[...answer.slice(0, -2), 2]], cut: { prompt: true, responses: 1 } });
  });

  it("uses the reward model's own template for a conversation", () => {
    const messages = [
      { role: 'system', content: 'be kind' },
      { role: 'user', content: 'hi' },
    ];
    const { sequences } = rewardSequences(decoder, 'decoder', {
      prompt: { kind: 'chat', messages },
      responses: ['ho'],
      maxTokens: 512,
    });
    expect(sequences[0]).toEqual(decoder.encode('<s>system: be kind</s>user: hi</s>assistant: ho</s>'));
  });
});

describe('what is no reward model', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'selm-reward-'));
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
    ['a language model', () => join(packageRoot, 'assets', 'stories260K'), 'MODEL_HEAD_MISSING'],
    ['PairRM', () => join(root, 'pairrm-hf'), 'MODEL_HEAD_MISSING'],
    ['PairRM in its original layout', () => join(root, 'pairrm'), 'MODEL_UNSUPPORTED'],
    [
      'an unknown architecture',
      () => copyOf('roberta-reward', (copy) => editConfig(copy, { model_type: 'mamba' })),
      'MODEL_UNSUPPORTED',
    ],
    [
      'a DeBERTa with a convolution',
      () => copyOf('deberta-reward', (copy) => editConfig(copy, { conv_kernel_size: 3 })),
      'MODEL_UNSUPPORTED',
    ],
    [
      'a RoBERTa of another activation',
      () => copyOf('roberta-reward', (copy) => editConfig(copy, { hidden_act: 'relu' })),
      'MODEL_UNSUPPORTED',
    ],
    [
      'sizes that the tensors do not have',
      () => copyOf('decoders/llama3', (copy) => editConfig(copy, { intermediate_size: 96 })),
      'MODEL_WEIGHT_SHAPE',
    ],
    [
      'no tokenizer',
      () => copyOf('decoders/llama3', (copy) => rmSync(join(copy, 'tokenizer.json'))),
      'TOKENIZER_FILES',
    ],
    [
      'a tokenizer of another model',
      () =>
        copyOf('roberta-reward', (copy) => {
          for (const file of ['tokenizer.json', 'tokenizer_config.json'])
            cpSync(join(root, 'pairrm-hf', file), join(copy, file));
        }),
      'TOKENIZER_LONGER',
    ],
    ['no folder', () => join(root, 'none'), 'MODEL_FOLDER'],
  ])('%s is refused', (_, make, code) => {
    expect(() => openRewardModel(make())).toThrow(expect.objectContaining({ code, exitCode: 2 }));
  });
});
