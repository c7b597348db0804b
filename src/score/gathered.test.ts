/** @file Passes of a policy whose blocks are gathered: what is on its way while a block computes. */
import { afterEach, expect, it, vi } from 'vitest';
import { disposeOpened, open, settings, trees } from '../../test/support/shared-training.ts';
import { ALONE, type Group } from '../torch/group.ts';
import { zeros } from '../torch/ops.ts';
import { gatheredForwardBackward, type Waiting } from './gathered.ts';
import { microBatches } from './packing.ts';
import type { ScoredRows } from './stream.ts';

afterEach(() => {
  vi.restoreAllMocks();
  disposeOpened();
});

const LAYERS = 4;

/** A group of one rank whose gathers arrive when they are waited for, and not before; which units are on their way. */
function slowGroup(): { group: Group; onTheWay: () => string[]; arrive(): Promise<void> } {
  const waiting: { unit: string; deliver(): Promise<void> }[] = [];
  const gatherSlices: Group['gatherSlices'] = (name, own, whole) =>
    new Promise((resolve) => {
      const deliver = (): Promise<void> => ALONE.gatherSlices(name, own, whole).then(resolve);
      waiting.push({ unit: unitOf(name), deliver });
    });
  return {
    group: { ...ALONE, gatherSlices },
    onTheWay: () => [...new Set(waiting.map(({ unit }) => unit))],
    async arrive() {
      const [first] = waiting;
      while (first !== undefined && waiting[0]?.unit === first.unit) await waiting.shift()?.deliver();
    },
  };
}

/** The number of a block, of the name of a weight or of a collective. */
function unitOf(name: string): string {
  return /(?:layers\.|block )(\d+)/.exec(name)?.[1] ?? 'ends';
}

async function toTheEnd<Result>(pass: Waiting<Result>, arrive: () => Promise<void>): Promise<Result> {
  for (;;) {
    const step = pass.next();
    if (step.done) return step.value;
    // What waits for a block gets that block only.
    if (step.value instanceof Promise) await Promise.all([arrive(), step.value]);
  }
}

it('while a block computes, forward and backward, the gather of the next one is under way', async () => {
  const { group, onTheWay, arrive } = slowGroup();
  const policy = open({ sharding: 'full', layers: LAYERS }, group);
  const computing: [string, string[]][] = [];
  const { get } = policy.compute;
  vi.spyOn(policy.compute, 'get').mockImplementation((name) => {
    const unit = unitOf(name);
    if (unit !== 'ends' && computing.at(-1)?.[0] !== unit) computing.push([unit, onTheWay()]);
    return get.call(policy.compute, name);
  });
  const [batch] = microBatches(trees, settings.microBatchTokens);
  if (batch === undefined) throw new Error('A batch');
  const head = ({ hidden_SD }: ScoredRows) => {
    computing.push(['head', onTheWay()]);
    return zeros(hidden_SD.shape);
  };
  await toTheEnd(gatheredForwardBackward(policy, batch, { name: 'step 1', head }), arrive);
  expect(computing).toEqual([
    ['0', ['1']],
    ['1', ['2']],
    ['2', ['3']],
    ['3', []], // stays whole: the way back begins with it
    ['head', []],
    ['3', ['2']],
    ['2', ['1']],
    ['1', ['0']],
    ['0', []],
  ]);
});
