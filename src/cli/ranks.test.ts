/** @file Ranks on GPUs: which one each process sees. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { environmentOf } from '../ranks/spawn.ts';
import { takePlace } from './ranks.ts';

const onCuda = { device: 'cuda', threads: 1 };

beforeEach(() => {
  for (const name of ['CUDA_VISIBLE_DEVICES', 'SELM_VISIBLE_DEVICES', 'RANK', 'WORLD_SIZE', 'LOCAL_RANK'])
    vi.stubEnv(name, undefined);
});
afterEach(() => vi.unstubAllEnvs());

it.each([
  [undefined, ['0', '1']],
  ['3,5', ['3', '5']],
])('with --device cuda --ranks 2, of the cards %s each rank sees one', (visible, expected) => {
  vi.stubEnv('CUDA_VISIBLE_DEVICES', visible);
  const first = takePlace({ ranks: 2 }, onCuda);
  if (first === null) throw new Error('No place among two ranks');
  const seen = [process.env.CUDA_VISIBLE_DEVICES];
  // The second is started with the environment of the first.
  for (const [name, value] of Object.entries(environmentOf(process.env, first, { index: 1, port: 4000 })))
    vi.stubEnv(name, value);
  expect(takePlace({}, onCuda)).toMatchObject({ rank: 1, localRank: 1 });
  seen.push(process.env.CUDA_VISIBLE_DEVICES);
  expect(seen).toEqual(expected);
});

it.each(['auto', 'cuda:1'])('ranks are refused for %s, which is one card', (device) => {
  expect(() => takePlace({ ranks: 2 }, { device, threads: 1 })).toThrow(
    expect.objectContaining({ code: 'RANKS_DEVICE' }),
  );
});

it('two ranks are refused where one card is left', () => {
  vi.stubEnv('CUDA_VISIBLE_DEVICES', '2');
  vi.stubEnv('RANK', '1');
  vi.stubEnv('WORLD_SIZE', '2');
  vi.stubEnv('LOCAL_RANK', '1');
  vi.stubEnv('LOCAL_WORLD_SIZE', '2');
  vi.stubEnv('MASTER_ADDR', 'localhost');
  vi.stubEnv('MASTER_PORT', '4000');
  expect(() => takePlace({}, onCuda)).toThrow('name as many GPUs there as ranks');
});
