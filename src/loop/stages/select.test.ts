import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { openLedger } from '../../store/ledger.ts';
import { openSelection } from './select.ts';
import type { IterationContext } from './stage.ts';

const SETTINGS = {
  budget: 4,
  prompts: 'random',
  answers: 'all',
  beliefs: 'policy',
  randomShare: 0,
  rounds: 2,
  otherwise: null,
} as const;
const rows = Array.from({ length: 6 }, (_, n) => ({
  promptId: `p${n}`,
  prompt: { kind: 'text' as const, text: `prompt ${n}` },
  chosen: 'good',
  rejected: 'bad',
  source: { file: 'rows.jsonl', line: n + 1 },
}));

test('a first round that was cut off, or whose settings changed, is chosen anew; later ones go on from it', async () => {
  using ledger = openLedger(join(temporaryFolder(), 'run.db'));
  // What a selection by chance reads of an iteration.
  const recipe = { seed: 1, ranker: { kind: 'function' }, sampling: { samples: 0 } };
  const context = { recipe, ledger, iteration: 1, ranker: { id: 'first' } } as unknown as IterationContext;
  const open = (settings: Partial<typeof SETTINGS> = {}) =>
    openSelection(context, { rows, policyDirectory: 'none', settings: { ...SETTINGS, ...settings } });
  const asked = (): string[] | undefined => ledger.record(1, 'selection')?.asked.map(({ promptId }) => promptId);

  expect(await open().begin()).toMatch(/^round 1 of 2: 2 of 6 prompts/);
  const first = asked();
  await open().begin();
  expect([asked(), ledger.record(1, 'selection')?.rounds]).toEqual([first, 1]);
  const selection = open();
  expect(await selection.next()).toMatch(/^round 2 of 2: 2 of 6 prompts/);
  expect(asked()?.slice(0, 2)).toEqual(first);
  expect([asked()?.length, await selection.next()]).toEqual([4, null]);
});
