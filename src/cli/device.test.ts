/** @file `--device` of the commands that open a model: on a pretended GPU they give what the CPU gives; what cannot be is said. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, it, vi } from 'vitest';
import type { DeviceUse } from '../../test/support/pretended-device.ts';
import { generate } from '../api/model.ts';
import { packageRoot } from '../files/package-root.ts';
import { teamOf } from '../ranks/team.testing.ts';
import { ALONE, type Team } from '../ranks/team.ts';
import type { DeviceMachine } from '../torch/device.ts';
import { deviceHere, deviceOption } from './device.ts';
import { evalModel } from './eval/model.ts';
import { withOutputModel } from './eval/output-model.ts';
import { rankFile } from './rank-file.ts';
import { respond } from './respond.ts';

const uses: DeviceUse[] = vi.hoisted(() => []);

vi.mock('../torch/native.ts', async (importActual) => {
  const { pretendedModule } = await import('../../test/support/pretended-device.ts');
  return pretendedModule(await importActual<typeof import('../torch/native.ts')>(), (use) => uses.push(use));
});

const folder = mkdtempSync(join(tmpdir(), 'selm-device-'));
afterAll(() => rmSync(folder, { recursive: true }));
const stories = join(packageRoot, 'assets', 'stories260K');
const fixtures = join(packageRoot, 'test', 'fixtures');
const says: string[] = [];
const listening = { signal: new AbortController().signal, say: (text: string) => void says.push(text) };

beforeEach(() => {
  uses.length = 0;
  says.length = 0;
});

const commands: Record<string, (device: string, team: Team) => Promise<string>> = {
  generate: async (device) => {
    const lines: string[] = [];
    const sampling = { samples: 2, temperature: 1, topP: 0.9, topK: 0, maxNewTokens: 12, seed: 3 };
    for await (const line of respond(stories, { prompt: 'Tom saw', text: true, ...sampling, device })) lines.push(line);
    return lines.join('\n');
  },
  eval: (device, team) =>
    evalModel(
      stories,
      {
        ...{
          on: 'arc_challenge',
          shots: 0,
          limit: 2,
          data: join(fixtures, 'evaluate/benchmarks/data'),
          dtype: 'float32',
        },
        ...{ batchTokens: 512, batchSize: 4, store: newStore(), json: true, device },
      },
      { ...listening, team },
    ),
  'eval alpaca': (device, team) => {
    const options = { store: newStore(), device };
    return withOutputModel(stories, options, { ...listening, team }, async (model) => {
      const settings = { temperature: 0, topP: 1, maxNewTokens: 8, seed: 0 };
      return JSON.stringify(await model.sample(['Tom saw a dog.', 'Lily ran.'].map(model.asPrompt), settings));
    });
  },
  rank: async (device) => {
    const rows = join(folder, 'rows.jsonl');
    const output = join(folder, `${device}.jsonl`);
    writeFileSync(rows, `${JSON.stringify({ prompt: 'Tom saw', responses: ['a dog.', 'the big red cat.'] })}\n`);
    await rankFile(rows, { ranker: `reward-model:${rewardModel}`, set: [], output, device }, listening);
    return readFileSync(output, 'utf8');
  },
};
/** A place of its own for what is kept: nothing is taken from another device or team. */
let stores = 0;
const newStore = (): string => join(folder, `${++stores}.db`);
const rewardModel = join(fixtures, 'rankers', 'roberta-reward');

it.each(Object.keys(commands))('selm %s --device cuda says what the CPU says', async (name) => {
  const command = commands[name];
  const expected = await command?.('cpu', ALONE);
  expect(uses).toEqual([]);
  expect(await command?.('cuda', ALONE)).toBe(expected);
  // The weights went there, or were read there.
  expect(uses.length).toBeGreaterThan(10);
});

it('selm eval alpaca --device cuda --ranks 2 says what one process on the CPU says', async () => {
  const alpaca = commands['eval alpaca'];
  const expected = await alpaca?.('cpu', ALONE);
  expect(uses).toEqual([]);
  expect(await alpaca?.('cuda', teamOf(2))).toBe(expected);
  expect(uses.length).toBeGreaterThan(20);
});

it("the library's generate() with device auto computes on a GPU that works", async () => {
  const textsOn = async (device: string): Promise<string[]> => {
    const texts: string[] = [];
    for await (const { text } of generate(stories, ['Tom saw'], { maxNewTokens: 6, device })) texts.push(text);
    return texts;
  };
  const expected = await textsOn('cpu');
  expect(uses).toEqual([]);
  expect(await textsOn('auto')).toEqual(expected);
  expect(uses.length).toBeGreaterThan(10);
});

it('a plan says which device auto is, and that another would be refused', async () => {
  const machine: DeviceMachine = { problem: () => 'Found no NVIDIA driver', gpus: () => ({ kind: 'no driver' }) };
  const here = (device: string): Promise<string | null> => deviceHere({ device, dtypes: ['float32'] }, machine);
  expect(await here('cpu')).toBeNull();
  expect(await here('auto')).toBe('device auto is the CPU here: there is no NVIDIA driver on this machine');
  expect(await here('cuda:1')).toMatch(
    /^This machine would refuse it: Cannot compute on cuda:1: there is no NVIDIA driver/,
  );
});

it('a device of another name is refused before anything is opened', () => {
  const parse = deviceOption().parseArg;
  expect(() => parse?.('gpu', undefined)).toThrow('Allowed are cpu, cuda, cuda:N, and auto.');
  expect(parse?.('cuda:3', undefined)).toBe('cuda:3');
});

it('rank refuses a device for a ranker that does not compute here', async () => {
  const options = { ranker: 'function:reward.ts', set: [], device: 'cuda' };
  await expect(rankFile('rows.jsonl', options, listening)).rejects.toThrow(
    'a function does not compute here: leave --device to pairrm and reward-model',
  );
});
