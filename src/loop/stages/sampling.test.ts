/** @file What makes sampling slow on a device is heard by the run that samples, on a pretended GPU. */
import { expect, it, vi } from 'vitest';
import { randomKey } from '../../random.ts';
import { ALONE } from '../../ranks/team.ts';
import { parseRecipe } from '../../recipe/load.ts';
import type { Notice } from '../../store/events.ts';
import { loadTokenizer } from '../../text/tokenizer/tokenizer.ts';
import { sampleTogether } from './sampling.ts';

vi.mock('../../torch/native.ts', async (importActual) => {
  const { pretendedModule } = await import('../../../test/support/pretended-device.ts');
  const pretended = pretendedModule(await importActual<typeof import('../../torch/native.ts')>());
  return { ...pretended, native: () => ({ ...pretended.native(), openGraphs: () => 'no such library' }) };
});

it('an engine without graphs is a warning of the run that samples on a device, which goes on', async () => {
  const model = 'assets/stories260K';
  const recipe = parseRecipe({
    ...{ name: 'x', seed: 1, device: 'cuda', model, data: { train: 'rows.jsonl' } },
    sampling: { samples: 2, temperature: 1, maxNewTokens: 3 },
    ranker: { kind: 'function', module: 'reward.ts' },
    objective: { preference: { kind: 'dpo' }, exploration: { kind: 'none' } },
    training: { learningRate: 1e-6 },
  });
  const tokenizer = loadTokenizer(model);
  const notices: Notice[] = [];
  const context = { recipe, tokenizer, team: ALONE, signal: undefined, announce: (each: Notice) => notices.push(each) };
  const samples = [{ sampleIndex: 0, key: randomKey(1, 'sample') }];
  const found: string[] = [];
  for await (const responses of sampleTogether(context, [{ promptId: 'a', promptIds: [1, 5], samples }], {
    modelDirectory: model,
  }))
    found.push(...responses.map(({ promptId }) => promptId));
  tokenizer.close();
  expect(found).toEqual(['a']);
  expect(notices).toEqual([{ kind: 'warning', text: expect.stringContaining('without graphs of the device') }]);
});
