import { defineConfig } from 'vitest/config';

/** Whole runs, kills, child processes: what takes most of the minutes. `npm run test:quick` leaves them to `npm test`. */
const MINUTES = [
  'test/faults/**',
  'test/resume.test.ts',
  'test/ranks.test.ts',
  'src/torch/gloo.test.ts',
  'test/loop.test.ts',
  'test/judge.test.ts',
  'test/bad-input.test.ts',
  'test/commands.test.ts',
  'test/export.test.ts',
  'test/sweep.test.ts',
  'test/implicit-rewards.test.ts',
  'test/hub.test.ts',
  'test/library.test.ts',
  'test/rankers.test.ts',
  'test/update-rules.test.ts',
  'test/lora*.test.ts',
  'test/sft*.test.ts',
  'test/sources.test.ts',
  'test/trl.test.ts',
  'test/eval-command.test.ts',
  'test/recipes/**',
  'test/rank-command.test.ts',
  'test/readme.test.ts',
  'test/doc-examples.test.ts',
  'test/changes.test.ts',
  'test/families.test.ts',
  'test/evaluation.test.ts',
  'test/course.test.ts',
  'test/learning-rates.test.ts',
  'test/benchmarks.test.ts',
  'test/loop-benchmarks.test.ts',
  'src/rank/function/function.test.ts',
  'src/rank/judge/judge.test.ts',
  'src/rank/command/command.test.ts',
  'src/train/train.test.ts',
  'src/rank/model/**',
  'src/torch/threads.test.ts',
  'test/fuzz/**',
  'test/old-runs.test.ts',
  'test/reading.test.ts',
  'test/people.test.ts',
  'test/arena.test.ts',
  'test/stop-texts.test.ts',
  'test/served-sampling.test.ts',
  'src/text/scored-property.test.ts',
  'test/exploration.test.ts',
  'src/text/template-hostile.test.ts',
  'src/text/tokenizer/tokenizer-hostile.test.ts',
];

/**
 * What is meant for a device: operators, kernels, models, training, sampling, rankers, and a whole run. The bits of the CPU's own kernels, threads
 * and counters of memory are not, and skip themselves where a file has them too.
 */
const ON_A_DEVICE = [
  'test/operators.test.ts',
  'test/kernels/{cuda,elementwise,products,row-products,token-choice,tree-attention}.test.ts',
  'test/models.test.ts',
  'test/device-run.test.ts',
  'src/sample/*.test.ts',
  'src/score/*.test.ts',
  'src/train/*.test.ts',
  'src/rank/model/*.test.ts',
];

/** These bring a pretended GPU of their own, beside the CPU. */
const BESIDE_THE_CPU = [
  'src/sample/graph-passes.test.ts',
  'src/sample/late-tokens.test.ts',
  'src/train/copies.test.ts',
];

const ALL = ['src/**/*.test.ts', 'test/**/*.test.ts', 'web/**/*.test.ts'];
const APART = ['test/long/**', 'test/peers/**', 'test/vllm/**', '**/node_modules/**'];

/** `whole`: npm test. `long`: what takes minutes or gigabytes. `peers`: what needs the Python environment of the peers. `vllm`: a real vLLM. `device`: with SELM_TEST_DEVICE (docs/gpu.md). */
const TIERS: Record<string, { include: string[]; exclude: string[] }> = {
  whole: { include: ALL, exclude: APART },
  quick: { include: ALL, exclude: [...APART, ...MINUTES] },
  long: { include: ['test/long/**/*.test.ts', 'test/trl.test.ts'], exclude: [] },
  peers: { include: ['test/peers/**/*.test.ts'], exclude: [] },
  vllm: { include: ['test/vllm/**/*.test.ts'], exclude: [] },
  device: { include: ON_A_DEVICE, exclude: [...APART, ...BESIDE_THE_CPU] },
};

const tier = process.env.SELM_TESTS ?? 'whole';

// Forks, not worker threads: the native addon belongs to one process each (docs/decisions).
export default defineConfig({
  test: {
    pool: 'forks',
    ...TIERS[tier],
    testTimeout: tier === 'long' || tier === 'vllm' ? 1_800_000 : 60_000,
    hookTimeout: tier === 'vllm' ? 600_000 : 60_000,
    maxWorkers: 2,
    // Two test files at a time on two cores: threads of the engine beyond one each would wait for one another.
    env: { SELM_THREADS: '1' },
    // Where tests' tensors lie, unless they say it themselves (docs/gpu.md).
    ...(process.env.SELM_TEST_DEVICE === undefined ? {} : { setupFiles: ['test/support/test-device.ts'] }),
    // `npm run coverage`. What a child process runs (the commands, ranks, kills) is not counted.
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      exclude: ['**/*.test.ts', '**/*.testing.ts'],
      reporter: ['text-summary', 'html', 'json-summary'],
      reportsDirectory: 'build/coverage',
    },
  },
});
