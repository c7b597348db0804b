/** @file Where activations are kept: by what a card, or the machine, has free. */
import { expect, it } from 'vitest';
import { smallConfig } from '../../test/support/small-model.ts';
import { activationBytes, chooseActivations, roomOn } from './activations.ts';

const config = smallConfig();
const auto = { activations: 'auto', microBatchTokens: 1000, dtype: 'bfloat16' } as const;
const needed = activationBytes(config, { tokens: 1000, bytesPerElement: 2 });
const onCard = (freeBytes: number) =>
  chooseActivations(
    auto,
    config,
    roomOn('cuda:0', () => freeBytes),
  );

it('a card that has room for them keeps them, whatever the machine has; one that does not answer computes again', () => {
  expect(onCard(needed / 0.69)).toBe('keep');
  expect(onCard(needed / 0.71)).toBe('recompute');
  expect(onCard(0)).toBe('recompute');
});

it('the CPU leaves most of its memory to what is not there yet', () => {
  expect(chooseActivations(auto, config, { ...roomOn('cpu'), freeBytes: needed / 0.29 })).toBe('keep');
  expect(chooseActivations(auto, config, { ...roomOn('cpu'), freeBytes: needed / 0.31 })).toBe('recompute');
  expect(
    chooseActivations(
      { ...auto, activations: 'keep' },
      config,
      roomOn('cuda', () => 0),
    ),
  ).toBe('keep');
});
