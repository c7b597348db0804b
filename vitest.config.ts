import { defineConfig } from 'vitest/config';

// Forks, not worker threads: the native addon belongs to one process each (docs/decisions).
export default defineConfig({
  test: {
    pool: 'forks',
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['test/long/**', '**/node_modules/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    // Two test files at a time on two cores: threads of the engine beyond one each would wait for one another.
    env: { SELM_THREADS: '1' },
  },
});
