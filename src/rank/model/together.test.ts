/** @file A model ranker that several ranks ask: its verdicts, in the order of the items, whoever gave them first. */
import { expect, it } from 'vitest';
import { ALONE, partOf, type Team } from '../../ranks/team.ts';
import type { RankerSettings } from '../../recipe/schema.ts';
import { type Ranker, type RankItem, type Ranking, rankingFromScores } from '../ranker.ts';
import { rankTogether } from './together.ts';

const settings: RankerSettings = {
  kind: 'reward-model',
  model: './reward',
  dtype: 'float32',
  batchTokens: 8192,
  maxTokens: null,
};
const asked: number[] = [];
/** Scores a text by its length. */
const ranker: Ranker = {
  id: 'lengths',
  gives: 'scores',
  async *rank(items) {
    let count = 0;
    for await (const { promptId, candidates } of items) {
      count += 1;
      yield rankingFromScores(
        promptId,
        candidates.map(({ text }) => text.length),
      );
    }
    asked.push(count);
  },
  textHealth: async () => null,
  close: async () => {},
};

/** A team of three whose last rank answers first. */
const team: Team = {
  ...ALONE,
  group: { ...ALONE.group, size: 3 },
  async *share(work, setting, items) {
    for (const rank of [2, 1, 0]) {
      const group = { ...ALONE.group, rank, size: 3 };
      yield* work.run(setting, partOf(items, group), { group, signal: undefined });
    }
  },
};

async function* stream(count: number): AsyncGenerator<RankItem> {
  for (let index = 0; index < count; index++) {
    const texts = ['a', 'b'.repeat(1 + (index % 3))];
    yield {
      promptId: `p${index}`,
      prompt: { kind: 'text', text: 'x' },
      candidates: texts.map((text, sampleIndex) => ({ kind: 'response', sampleIndex, text })),
    };
  }
}

async function rankings(of: Ranker, count: number): Promise<Ranking[]> {
  const all: Ranking[] = [];
  for await (const ranking of of.rank(stream(count))) all.push(ranking);
  return all;
}

it.each([7, 2, 0])('ranks %i items as one process does, each once', async (count) => {
  const alone = await rankings(ranker, count);
  asked.length = 0;
  expect(await rankings(rankTogether(ranker, { settings, device: 'cpu', team, signal: undefined }), count)).toEqual(
    alone,
  );
  expect(asked.reduce((sum, each) => sum + each, 0)).toBe(count);
});

it('leaves a ranker that is no model to rank 0', () => {
  const module: RankerSettings = {
    kind: 'function',
    module: 'reward.ts',
    timeoutMs: 1000,
    concurrency: 1,
    onError: 'stop',
  };
  expect(rankTogether(ranker, { settings: module, device: 'cpu', team, signal: undefined })).toBe(ranker);
});
