/** @file Which library moves tensors between ranks. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { NCCL_LIBRARY } from './native.ts';
import { builtNccl, ncclLibrary } from './nccl.ts';

it('ranks on processors need no NCCL', () => {
  expect(ncclLibrary('cpu', '/nowhere')).toBe('');
});

it('an engine that was built without NCCL is said to be, with how to get it', () => {
  const engine = mkdtempSync(join(tmpdir(), 'selm-nccl-'));
  try {
    expect(() => builtNccl(engine)).toThrow(
      expect.objectContaining({ code: 'NCCL_MISSING', message: expect.stringContaining('selm engine install') }),
    );
    writeFileSync(join(engine, NCCL_LIBRARY), '');
    expect(builtNccl(engine)).toBe(join(engine, NCCL_LIBRARY));
  } finally {
    rmSync(engine, { recursive: true, force: true });
  }
});
