/**
 * @file Kernels for NVIDIA cards on a card that is emulated (emulated-card/emulator.h): our very sources, compiled as C++ for the CPU, compute what
 * they should. test/kernels/cuda.test.ts compares them with the CPU's on a real card.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { packageRoot } from '../../src/files/package-root.ts';
import { uniformAt } from '../../src/random.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-emulated-'));
afterAll(() => rmSync(folder, { recursive: true }));

function output(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: packageRoot, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ends with ${status}: ${stderr}`);
  return stdout;
}

const program = join(folder, 'checks');
const source = join('test', 'long', 'emulated-card', 'checks.cc');
output('g++', ['-std=c++20', '-O1', '-I', join('native', 'kernels', 'cuda'), source, '-o', program]);
const lines = output(program, []).trim().split('\n');

/** Sums in fp32 of up to 12,288 numbers near 1 are right to some 1e-6; what is rounded to bf16 to 2^-8 of itself; tokens are whole numbers. */
function tolerance(name: string): number {
  if (name.startsWith('tokens') || name.startsWith('a row that is not finite')) return 0;
  return name === 'gates' ? 2 ** -8 : 5e-6;
}

it.each(lines.filter((line) => !line.startsWith('uniform')).map((line) => line.split(': ')))(
  '%s are right',
  (name = '', difference = '') => {
    expect(Number(difference)).toBeLessThanOrEqual(tolerance(name));
  },
);

it('uniform numbers are those of src/random.ts, bit for bit', () => {
  const uniforms = lines.flatMap((line) => (line.startsWith('uniform ') ? [line.split(' ').slice(1).map(Number)] : []));
  expect(uniforms).toHaveLength(4);
  for (const [key0 = 0, key1 = 0, stream0 = 0, stream1 = 0, counter = 0, number] of uniforms)
    expect(number).toBe(uniformAt({ key0, key1, stream0, stream1 }, counter));
});
