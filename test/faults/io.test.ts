/**
 * @file The N-th change of the file system fails, N = 1, 2, ... until the work goes through: for an input/output error once,
 * for a disk that is full, and (every seventh N) for one that turned read-only. Whatever N is, the previous state loads or the new one
 * does, nothing is torn, and the error says what to do.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { packageRoot } from '../../src/files/package-root.ts';
import type { WalkReport } from './child.ts';
import { buildFaults } from './fail-io.ts';

// Hundreds of failures each: seconds of work, on a busy machine a minute.
vi.setConfig({ testTimeout: 300_000 });

// In memory where that is possible: thousands of fsyncs of a busy disk would take minutes and show nothing more.
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'selm-faults-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function walk(scenario: string): Promise<WalkReport> {
  const folder = join(root, scenario);
  mkdirSync(join(folder, 'faulty'), { recursive: true });
  const faults = buildFaults(folder, join(folder, 'faulty'));
  if (typeof faults === 'string') throw new Error(faults);
  const script = join(packageRoot, 'test', 'faults', 'child.ts');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', script, scenario, folder], {
      cwd: packageRoot,
      env: { ...process.env, ...faults },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      errors += data.toString();
    });
    child.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(output) as WalkReport);
      else reject(new Error(`The child ended with ${code ?? signal}: ${errors}`));
    });
  });
}

mkdirSync(join(root, 'probe'));
const probe = buildFaults(join(root, 'probe'), root);
const title = typeof probe === 'string' ? ` (skipped: ${probe})` : '';
it.skipIf(typeof probe === 'string').each([
  ['saving a checkpoint', 'checkpoint', 60],
  ['saving a model over another', 'model', 60],
  ['writing the ledger', 'ledger', 60],
])(`%s survives the failure of every single call${title}`, async (_, scenario, atLeast) => {
  const report = await walk(scenario);
  expect(report.problems.slice(0, 10)).toEqual([]);
  expect(report.failures).toBeGreaterThan(atLeast);
  console.log(`${scenario}: ${report.failures} failures: ${JSON.stringify(report.codes)}`);
});
