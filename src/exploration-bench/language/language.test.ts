/** @file A benchmark of a language model: which runs a file means, and what a run's ledger says of it. No run is made here. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { packageRoot } from '../../files/package-root.ts';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { openLedger } from '../../store/ledger.ts';
import { writeResults } from '../cells.ts';
import { compareMethods } from '../comparison.ts';
import { comparisonTables } from '../tables.ts';
import { languageResults } from './bench.ts';
import { isLanguageGrid, loadLanguageGrid } from './grid.ts';
import { resultOf } from './measure.ts';
import { languageRuns } from './plan.ts';

const BENCHES = join(packageRoot, 'recipes', 'bench');
const DIAL = join(BENCHES, 'dial.yaml');

const GRID = `name: small
recipe: ${join(packageRoot, 'recipes', 'bench', 'wonder.yaml')}
seeds: { first: 3, count: 2 }
labels: 96
labelsAnIteration: 24
tokens: 1000
rareFrom: 0.5
worlds:
  - { name: plain, set: {} }
baseline: dpo
drawn: [dpo]
methods:
  - { name: dpo }
  - { name: four, set: { sampling.samples: 4 } }
  - { name: chance, set: { sampling.samples: 4, update: random } }
`;

function gridOf(text = GRID) {
  const folder = temporaryFolder();
  const file = join(folder, 'grid.yaml');
  writeFileSync(file, text);
  return loadLanguageGrid(file, { workingDirectory: folder });
}

describe('loadLanguageGrid()', () => {
  it('is for a file that names a recipe, and no other', () => {
    expect(isLanguageGrid(DIAL)).toBe(true);
    expect(isLanguageGrid(join(packageRoot, 'recipes', 'bench', 'tabular.yaml'))).toBe(false);
    expect(isLanguageGrid(join(packageRoot, 'no-such-file.yaml'))).toBe(false);
  });

  it.each([
    ['a seed among the settings', 'set: {} }', 'set: { seed: 7 } }', 'seed comes from seeds'],
    ['a baseline that is none', 'baseline: dpo', 'baseline: dpq', 'baseline names "dpq"'],
    ['a grid without labels', 'labels: 96\n', '', 'labels is missing'],
  ])('refuses %s', (_, from, to, message) => {
    expect(() => gridOf(GRID.replace(from, to))).toThrow(message);
  });

  it('names the method whose settings no recipe has', () => {
    const grid = gridOf(GRID.replace('sampling.samples: 4 }', 'sampling.sample: 4 }'));
    expect(() => languageRuns(grid)).toThrow('method "four" in world "plain"');
  });
});

describe('languageRuns()', () => {
  it('gives every method the same labels an iteration, and so fewer prompts where a prompt takes more labels', () => {
    const runs = languageRuns(gridOf());
    expect(runs.map(({ method, seed }) => `${method} ${seed}`)).toEqual([
      'dpo 3',
      'four 3',
      'chance 3',
      'dpo 4',
      'four 4',
      'chance 4',
    ]);
    expect(runs.slice(0, 3).map(({ recipe }) => [recipe.iterations, recipe.slices.size])).toEqual([
      [4, 24],
      [4, 8],
      [4, 24],
    ]);
  });

  it('knows a result by its settings: another method of the same name is run again, another folder is not', () => {
    const keysOf = (text: string) => languageRuns(gridOf(text)).map(({ key }) => key);
    const keys = keysOf(GRID);
    expect(keysOf(GRID)).toEqual(keys); // in another temporary folder
    const changed = keysOf(GRID.replace('sampling.samples: 4 }', 'sampling.samples: 5 }'));
    expect(changed.map((key, index) => key === keys[index])).toEqual([true, false, true, true, false, true]);
  });

  it("counts a reference's samples among those that are ranked", () => {
    const against = 'sampling.samples: 1, sampling.referenceSamples: 1, reference: initial }';
    const [, run] = languageRuns(gridOf(GRID.replace('sampling.samples: 4 }', against)));
    expect(run?.recipe.slices.size).toBe(24); // two answers in order are one label
  });

  it.each(readdirSync(BENCHES).filter((file) => file.startsWith('dial')))('reads the grid %s', (file) => {
    const grid = loadLanguageGrid(join(BENCHES, file));
    const runs = languageRuns(grid);
    expect(runs).toHaveLength(grid.worlds.length * grid.methods.length * grid.seeds.length);
    expect(new Set(runs.map(({ recipe }) => recipe.output)).size).toBe(runs.length);
    expect(new Set(runs.map(({ key }) => key)).size).toBe(runs.length);
  });
});

it('resultOf() finds rewards against labels and tokens, and the fate of the rare answers, in the ledger of a run', async () => {
  const ledger = openLedger(join(temporaryFolder(), 'run.db'));
  onTestFinished(() => ledger.close());
  const evaluation = (texts: string[]) => ({
    name: '',
    rewardName: '',
    data: {
      promptIds: texts.map(() => 'p'),
      rewards: texts.map(() => 0),
      lengths: texts.map(() => 1),
      textHealth: texts.map(() => 0.5),
      finishedShare: 1,
      diversity: { distinct: [1, 0.25, 1] as [number, number, number], selfBleu: null },
      klToBase: { value: 2, low: 1, high: 3, count: 1 },
      klToPrevious: null,
      marginsOverPrevious: null,
      greedy: null,
    },
    answers: texts.map((text) => ({ promptId: 'p', prompt: 'x', text })),
  });
  ledger.putRecord(0, 'evaluation', evaluation(['1', '3']));
  ledger.putRecord(1, 'evaluation', evaluation(['5', '9']));
  ledger.putSlice(
    1,
    ['p', 'q'].map((promptId) => ({
      promptId,
      prompt: { kind: 'text' as const, text: promptId },
      chosen: null,
      rejected: null,
      source: { file: 'f', line: 1 },
    })),
  );
  for (const [promptId, texts] of [
    ['p', ['9', '1']],
    ['q', ['9', '8']],
  ] as const) {
    for (const [sampleIndex, text] of texts.entries()) {
      const tokenIds = Int32Array.of(1, 2, 3);
      const rest = { finish: 'stop' as const, logProb: -1, samplerSha256: 'a', seed: 1 };
      ledger.putResponses([{ iteration: 1, promptId, sampleIndex, text, tokenIds, ...rest }]);
    }
    const from = { kind: 'response' as const, sampleIndex: 0 };
    const pair = { pairId: promptId, iteration: 1, promptId, chosenFrom: from, rejectedFrom: from, response: null };
    ledger.putPairs([{ ...pair, chosen: texts[0], rejected: texts[1] }]);
  }
  const rewardOf = async (answers: readonly { text: string }[]) => answers.map(({ text }) => Number(text));
  const result = await resultOf(ledger, { labelsOfPrompt: 3, rewardOf, best: 10, rareFrom: 8 });
  const text = { distinct2: 0.25, soundness: 0.5 };
  expect(result).toEqual({
    points: [
      { labels: 0, sampled: 0, reward: 2, rareShare: 0, klToBase: 2, entropy: null, text: { ...text, tokens: 0 } },
      { labels: 6, sampled: 4, reward: 7, rareShare: 0.5, klToBase: 2, entropy: null, text: { ...text, tokens: 12 } },
    ],
    rare: { sampled: 3, paired: 3, chosen: 2 },
    best: 10,
    regret: 6 * (10 - 2),
  });
});

it('results that are there are compared, by labels and by tokens', () => {
  const grid = gridOf();
  for (const { world, method, seed, key } of languageRuns(grid)) {
    const gain = method === 'dpo' ? 0.2 : 0.4;
    const point = { sampled: 0, rareShare: 0, klToBase: 0, entropy: null };
    const text = (tokens: number) => ({
      tokens,
      distinct2: 0.3,
      soundness: 0.9,
      benchmarks: { arc: 0.5 - tokens / 1e4 },
    });
    const points = [
      { ...point, labels: 0, reward: 0, text: text(0) },
      { ...point, labels: 48, reward: gain + seed / 1000, text: text(250) },
    ];
    const result = { points, rare: { sampled: 0, paired: 0, chosen: 0 }, best: 1, regret: 0 };
    writeResults(grid.output, { world: world.name, seed }, { [method]: { key, result } });
  }
  const comparison = compareMethods(grid, languageResults(grid));
  const four = comparison.inWorlds.find(({ method }) => method === 'four');
  // Half of the labels, and three quarters of the tokens, were asked of the policy with the gain 0.403.
  expect(four?.scores[0]?.area).toBeCloseTo(0.403 / 2, 12);
  expect(four?.scores[0]?.text?.areaByTokens).toBeCloseTo(0.75 * 0.403, 12);
  expect(comparison.overall[1]?.endDifference?.value).toBeCloseTo(0.2, 12);
  expect(four?.scores[0]?.text?.onBenchmarks).toEqual({ arc: expect.closeTo(-0.025, 12) });
  expect(comparisonTables(grid, comparison)).toMatch(/\| area by tokens \|.*\| arc minus base \|/);
});
