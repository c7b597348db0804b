import { defineConfig } from 'vitest/config';

// Tests that take minutes, or gigabytes of memory and disk: `npm run test:long`.
export default defineConfig({
  test: { pool: 'forks', include: ['test/long/**/*.test.ts'], testTimeout: 1_800_000, maxWorkers: 1 },
});
