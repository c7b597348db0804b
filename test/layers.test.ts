/** @file The order of the layers holds in src/, and the check that says so finds what it should. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { layerProblems, readSources } from '../scripts/check-layers.ts';

const source = (path: string, text: string) => ({ path, text });

test('imports in src/ point downward', () => {
  const files = readSources(fileURLToPath(new URL('../src', import.meta.url)));
  expect(files.length).toBeGreaterThan(20);
  expect(layerProblems(files)).toEqual([]);
});

test('layerProblems() accepts imports of lower folders and of packages', () => {
  const text =
    "import { readFileSync } from 'node:fs';\nimport { scope } from '../torch/tensor.ts';\nimport { z } from 'zod';\n";
  expect(layerProblems([source('model/load.ts', text)])).toEqual([]);
});

test.each([
  ['torch/tensor.ts', "import { load } from '../model/load.ts';", 'model/ lies above torch/'],
  ['torch/tensor.ts', "import type { Model } from '../model/load.ts';", 'model/ lies above torch/'],
  ['torch/tensor.ts', "export { load } from '../model/load.ts';", 'model/ lies above torch/'],
  ['torch/tensor.ts', "const model = await import('../model/load.ts');", 'model/ lies above torch/'],
  ['torch/tensor.ts', "import '../model/load.ts';", 'model/ lies above torch/'],
  ['model/load.ts', "import {\n  a,\n  b,\n} from '../cli/main.ts';", 'cli/ lies above model/'],
  ['objective/objective.ts', "import { scope } from '../torch/tensor.ts';", 'may import errors only'],
  ['rank/function.ts', "import { step } from '../train/step.ts';", 'train/ lies above rank/'],
  ['report/report.ts', "import { step } from '../train/step.ts';", 'never imports train/'],
  ['store/ledger.ts', "import { policy } from '../score/policy.ts';", 'never imports score/'],
  ['engine/doctor.ts', "import { scope } from '../torch/tensor.ts';", 'native.ts, gpus.ts, cuda-problems.ts only'],
  [
    'model/load.ts',
    "import { type Handle, packageRoot } from '../torch/native.ts';",
    'Handle: the addon is for torch/ and engine/',
  ],
  ['model/load.ts', "import { small } from '../../test/support/small.ts';", 'outside src/'],
  ['elsewhere/file.ts', "import { SelmError } from '../errors.ts';", '"elsewhere" has no place'],
])('layerProblems() refuses in %s: %s', (path, text, reason) => {
  expect(layerProblems([source(path, text)])).toEqual([expect.stringContaining(reason)]);
});

test('layerProblems() lets other folders read where the package lies', () => {
  expect(
    layerProblems([source('loop/run.ts', "import { packageRoot, setThreads } from '../torch/native.ts';")]),
  ).toEqual([]);
});

test('layerProblems() finds folders of one row that import each other', () => {
  const files = [
    source('text/a.ts', "import { row } from '../data/rows.ts';"),
    source('data/rows.ts', "import { Prompt } from '../text/prompt.ts';"),
  ];
  expect(layerProblems(files)).toEqual(['Folders import each other in a circle: data, text']);
});

test('layerProblems() finds files of one folder that import each other, also by a type or when a function runs', () => {
  const files = [
    source('text/a.ts', "import { b } from './b.ts';"),
    source('text/b.ts', "const { c } = await import('./c.ts');"),
    source('text/c.ts', "import type { A } from './a.ts';"),
    source('text/d.ts', "import { a } from './a.ts';"),
  ];
  expect(layerProblems(files)).toEqual(['Files import each other in a circle: text/a.ts, text/b.ts, text/c.ts']);
});

test('layerProblems() does not take an import in a comment for one', () => {
  const text = "// import { load } from '../model/load.ts'\n/** import { load } from '../model/load.ts' */\n";
  expect(layerProblems([source(join('torch', 'tensor.ts'), text)])).toEqual([]);
});
