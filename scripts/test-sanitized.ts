/**
 * @file The addon's tests on a build that checks every memory access and every undefined operation: `npm run test:sanitized`.
 * Builds it first where the native sources changed. Arguments go to vitest; without any, the tests below run.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { installEngine } from '../src/engine/install.ts';
import { requireTool, thisMachine } from '../src/engine/machine.ts';
import { variantEnvironment } from '../src/engine/variants.ts';
import { packageRoot } from '../src/files/package-root.ts';

/** Every operator and kernel, tensors in every state, and the addon's threads. */
const TESTS = ['src/torch', 'test/operators.test.ts', 'test/kernels', 'src/train/gradients.test.ts'];

await installEngine({ variant: 'sanitized', log: (line) => console.error(line) });
const compiler = requireTool('compiler', 'run the sanitized engine', thisMachine);
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const chosen = process.argv.slice(2);
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--maxWorkers', '1', '--testTimeout', '600000', ...(chosen.length > 0 ? chosen : TESTS)],
  {
    cwd: packageRoot,
    stdio: 'inherit',
    env: { ...process.env, ...variantEnvironment('sanitized', { compiler }) },
  },
);
process.exitCode = status ?? 1;
