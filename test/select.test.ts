/** @file Runs whose ranker is asked about some prompts only, under a budget of labels. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../src/files/temporary.testing.ts';
import { openLedger } from '../src/store/ledger.ts';
import { run } from './support/small-run.ts';

/** Six prompts an iteration, or twelve in one. */
const SMALL = {
  data: { train: 'prompts.jsonl', limit: 12 },
  sampling: { samples: 2, temperature: 1, maxNewTokens: 8, batchSize: 18 },
  training: { batchSize: 3, learningRate: 0.0005, checkpointEverySteps: 100 },
  evaluate: { explorationPrompts: 0 },
};

function ledgerOf<Result>(output: string, read: (ledger: ReturnType<typeof openLedger>) => Result): Result {
  using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  return read(ledger);
}

test('the budget holds, two answers of a prompt are compared, and each iteration knows more of what is in doubt', async () => {
  const { output } = await run({
    ...SMALL,
    select: { budget: 5, prompts: 'doubt', answers: 'info-max', beliefs: 'reward-model' },
    sampling: { ...SMALL.sampling, samples: 3 },
  });
  ledgerOf(output, (ledger) => {
    for (const iteration of [1, 2]) {
      const selection = ledger.record(iteration, 'selection');
      const asked = selection?.asked ?? [];
      expect(asked).toHaveLength(5);
      expect(selection?.passed).toBe(1);
      expect(asked.filter(({ isDrawn }) => isDrawn)).toMatchObject([{ reason: 'drawn at random' }]);
      expect(asked.filter(({ isDrawn }) => !isDrawn).map(({ reason }) => reason)).toEqual(
        Array.from({ length: 4 }, () =>
          expect.stringMatching(/^the reward model may be anything from \d+:\d+ to \d+:\d+ here$/),
        ),
      );
      const rankings = ledger.rankings(iteration);
      expect(rankings.map(({ candidates }) => candidates.length)).toEqual(Array.from({ length: 5 }, () => 2));
      expect(new Set(rankings.map(({ promptId }) => promptId))).toEqual(new Set(asked.map(({ promptId }) => promptId)));
      // The exploration term still has its sample, also where others were compared.
      const pairs = ledger.pairs(iteration);
      expect(pairs.length).toBeGreaterThan(0);
      expect(pairs.every(({ response }) => response !== null)).toBe(true);
      expect(ledger.record(iteration, 'pair-counts')?.skipped['not asked about']).toBe(1);
    }
  });
}, 30_000);

test('questions that tell most come first, each two answers of a prompt, and what they tell shrinks', async () => {
  const { output } = await run({
    ...SMALL,
    iterations: 1,
    select: { budget: 5, prompts: 'information', answers: 'information', beliefs: 'reward-model', randomShare: 0 },
    sampling: { ...SMALL.sampling, samples: 3 },
  });
  ledgerOf(output, (ledger) => {
    const asked = ledger.record(1, 'selection')?.asked ?? [];
    expect(asked.map(({ answers }) => answers?.length)).toEqual([2, 2, 2, 2, 2]);
    const nats = asked.map(({ reason }) => Number(/tells (\d+\.\d+) nats/.exec(reason)?.[1]));
    expect(nats[0]).toBeGreaterThan(0);
    expect(nats).toEqual(nats.toSorted((a, b) => b - a));
  });
}, 30_000);

test("the policy's implicit margin is known from the second iteration on, and drives what is asked", async () => {
  const { output } = await run({
    ...SMALL,
    select: { budget: 4, prompts: 'large-gap', answers: 'large-gap', randomShare: 0 },
  });
  ledgerOf(output, (ledger) => {
    const oddsOf = (iteration: number): number[] =>
      (ledger.record(iteration, 'selection')?.asked ?? []).map(({ reason }) => Number(/is (\d+):/.exec(reason)?.[1]));
    expect(oddsOf(1)).toEqual([50, 50, 50, 50]);
    const second = oddsOf(2);
    expect(second).toEqual(second.toSorted((a, b) => b - a));
    expect(second[0]).toBeGreaterThanOrEqual(50);
  });
}, 30_000);

test('what the ranker is not asked about another one ranks, and who is asked about goes by its doubt', async () => {
  const module = join(temporaryFolder(), 'length.ts');
  writeFileSync(
    module,
    'export const reward = (_: string, responses: string[]) => responses.map((text) => text.length / 10);\n',
  );
  const { output, events } = await run({
    ...SMALL,
    iterations: 1,
    select: { budget: 4, prompts: 'small-gap', beliefs: 'otherwise', otherwise: { kind: 'function', module } },
  });
  ledgerOf(output, (ledger) => {
    const ids = ledger.record(0, 'rankers');
    const rankings = ledger.rankings(1);
    expect(rankings.filter(({ rankerId }) => rankerId === ids?.first)).toHaveLength(4);
    expect(rankings.filter(({ rankerId }) => rankerId === ids?.second)).toHaveLength(12);
    const asked = ledger.record(1, 'selection')?.asked ?? [];
    expect(asked[1]?.reason).toMatch(/^length\.ts is \d+:\d+ here$/);
    const isAsked = (promptId: string): boolean => asked.some((each) => each.promptId === promptId);
    for (const { promptId, rankerId } of ledger.pairs(1)) {
      if (!isAsked(promptId)) expect(rankerId).toBe(ids?.second);
    }
  });
  expect(events.some((event) => event.kind === 'note' && event.text.startsWith('Agreement of the rankers'))).toBe(true);
}, 30_000);
