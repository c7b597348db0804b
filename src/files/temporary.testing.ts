/** @file For tests: a temporary folder that is removed when the test ends. Not used by the program. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A new empty folder. */
export function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'selm-test-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
