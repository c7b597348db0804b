/**
 * @file The gate: type check, lint, layers and tests, then one last line `N passed, N failed[, N skipped]`. Type check
 * and lint count as one test each. Arguments go to vitest: `npm test -- src/random.test.ts`. Exit code 1 if any failed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const count = { passed: 0, failed: 0, skipped: 0 };

/** Runs the program of an npm package and returns its exit status. */
function runPackage(name, program, args) {
  const folder = dirname(require.resolve(`${name}/package.json`));
  return spawnSync(process.execPath, [join(folder, program), ...args], { cwd: root, stdio: 'inherit' }).status;
}

function gate(title, status) {
  console.log(`${status === 0 ? 'ok' : 'FAILED'}: ${title}`);
  count[status === 0 ? 'passed' : 'failed']++;
}

/** Adds up vitest's JSON report; a file that broke before its first test counts as one failure. */
function addReport(path) {
  const report = JSON.parse(readFileSync(path, 'utf8'));
  for (const file of report.testResults) {
    const statuses = file.assertionResults.map((test) => test.status);
    const failed = statuses.filter((status) => status === 'failed').length;
    count.passed += statuses.filter((status) => status === 'passed').length;
    count.skipped += statuses.filter((status) => status !== 'passed' && status !== 'failed').length;
    count.failed += file.status === 'failed' ? Math.max(1, failed) : failed;
  }
}

function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), 'selm-report-'));
  const path = join(folder, 'report.json');
  try {
    const before = count.failed;
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${path}`];
    const status = runPackage('vitest', 'vitest.mjs', ['run', ...reporters, ...args]);
    addReport(path);
    // Errors outside tests (unhandled rejections) fail vitest without failing a test.
    if (status !== 0 && count.failed === before) count.failed++;
  } catch (error) {
    console.error(`Cannot read vitest's report: ${error.message}`);
    count.failed++;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// What starts without a TypeScript loader is JavaScript, and checked by the same compiler.
const types = (project) => runPackage('typescript', 'bin/tsc', ['--noEmit', '-p', project]);
gate('types (tsc --noEmit)', types('.') || types('tsconfig.workers.json') || types('web'));
gate('lint and format (biome check)', runPackage('@biomejs/biome', 'bin/biome', ['check']));
runTests(process.argv.slice(2));
const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
console.log(`${count.passed} passed, ${count.failed} failed${skipped}`);
process.exitCode = count.failed === 0 ? 0 : 1;
