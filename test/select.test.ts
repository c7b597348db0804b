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

/** Another ranker: longer is better. */
const LENGTH = 'export const reward = (_: string, responses: string[]) => responses.map((text) => text.length / 10);\n';

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
  writeFileSync(module, LENGTH);
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

test('a budget in rounds: answers to the first questions change what is asked next, and nothing is asked twice', async () => {
  const of = async (rounds: number) => {
    const select = { budget: 9, prompts: 'small-gap', answers: 'small-gap', beliefs: 'reward-model', rounds };
    const { output } = await run({ ...SMALL, iterations: 1, select, sampling: { ...SMALL.sampling, samples: 3 } });
    return ledgerOf(output, (ledger) => ({
      selection: ledger.record(1, 'selection'),
      ranked: ledger.rankings(1).map(({ promptId }) => promptId),
    }));
  };
  const [whole, inRounds] = [await of(1), await of(3)];
  const asked = (each: typeof whole): string[] => each.selection?.asked.map(({ promptId }) => promptId) ?? [];
  expect(inRounds.selection).toMatchObject({ passed: 3, rounds: 3 });
  expect(new Set(asked(inRounds)).size).toBe(9);
  expect(inRounds.ranked.toSorted()).toEqual(asked(inRounds).toSorted());
  // The first three are the same; then the heads have learned.
  expect(asked(inRounds).slice(0, 3)).toEqual(asked(whole).slice(0, 3));
  const reasons = (each: typeof whole): string[] => each.selection?.asked.map(({ reason }) => reason) ?? [];
  expect(reasons(inRounds).slice(3)).not.toEqual(reasons(whole).slice(3));
}, 30_000);

test('a learned reward model is fitted to what was selected, and ranks what nobody was asked about', async () => {
  const { output } = await run({
    ...SMALL,
    iterations: 1,
    objective: { preference: { kind: 'dpo', beta: 0.1 }, exploration: { kind: 'none' } },
    select: { budget: 4, prompts: 'small-gap', beliefs: 'reward-model', rounds: 2 },
    rewardModel: { alpha: 0, learningRate: 0.001, batchSize: 4 },
  });
  ledgerOf(output, (ledger) => {
    const asked = ledger.record(1, 'selection')?.asked.map(({ promptId }) => promptId) ?? [];
    const by = (name: string): string[] =>
      ledger.rankings(1).flatMap(({ rankerId, promptId }) => (rankerId.startsWith(name) ? [promptId] : []));
    expect(by('function:').toSorted()).toEqual(asked.toSorted());
    expect(asked).toHaveLength(4);
    expect(by('learned-reward:')).toHaveLength(12);
    expect(ledger.pairs(1).every(({ rankerId }) => rankerId?.startsWith('learned-reward:'))).toBe(true);
  });
}, 30_000);

test('beside a selection the second opinion is asked about what was selected, and where it is told to about all the rest', async () => {
  const module = join(temporaryFolder(), 'length.ts');
  writeFileSync(module, LENGTH);
  const { output } = await run({
    ...SMALL,
    iterations: 1,
    select: { budget: 5 },
    secondOpinion: {
      ranker: { kind: 'function', module },
      share: 0,
      doubtMargin: 1000,
      decides: 'second',
      unasked: 'ranked',
    },
  });
  ledgerOf(output, (ledger) => {
    const ids = ledger.record(0, 'rankers');
    const of = (id: string | null | undefined): number =>
      ledger.rankings(1).filter(({ rankerId }) => rankerId === id).length;
    expect([of(ids?.first), of(ids?.second)]).toEqual([5, 12]);
    expect(new Set(ledger.pairs(1).map(({ rankerId }) => rankerId))).toEqual(new Set([ids?.second]));
    expect(ledger.record(1, 'pair-counts')?.skipped['not asked about']).toBeUndefined();
  });
}, 30_000);

test("soft labels of what nobody was asked about are the other ranker's, corrected by where both judged", async () => {
  const module = join(temporaryFolder(), 'length.ts');
  writeFileSync(module, LENGTH);
  const otherwise = { kind: 'function', module };
  const { output, events } = await run({
    ...SMALL,
    iterations: 1,
    labels: 'soft',
    select: { budget: 6, prompts: 'calibration', beliefs: 'otherwise', rounds: 3, otherwise },
  });
  ledgerOf(output, (ledger) => {
    const slope = ledger.record(1, 'calibration')?.slope ?? Number.NaN;
    expect(slope).not.toBe(1);
    const ids = ledger.record(0, 'rankers');
    const ofOther = ledger.pairs(1).filter(({ rankerId }) => rankerId === ids?.second);
    expect(ofOther.length).toBeGreaterThan(0);
    for (const { label, scoreChosen, scoreRejected } of ofOther) {
      const gap = (scoreChosen ?? 0) - (scoreRejected ?? 0);
      expect(label?.probability).toBeCloseTo(1 / (1 + Math.exp(-slope * gap)), 12);
    }
  });
  expect(events.some((event) => event.kind === 'note' && event.text.startsWith('The log-odds of the other'))).toBe(
    true,
  );
}, 30_000);
