/**
 * @file `selm train` under PyTorch's own torchrun: ranks of one machine, and two machines on the loopback interface. Needs the
 * torchrun of the Python environment of scripts/fixtures/README.md. Run: `npm run test:peers`.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sha256 } from '../../src/files/hash.ts';
import { packageRoot } from '../../src/files/package-root.ts';
import { writeSmallRecipe } from '../support/small-recipe.ts';

const python = process.env.SELM_PEERS_PYTHON ?? join(homedir(), '.cache', 'selm', 'peers', 'bin', 'python');
const torchrun = join(dirname(python), 'torchrun');

let folder = '';
let recipePath = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'selm-torchrun-'));
  recipePath = writeSmallRecipe(folder, { iterations: 1 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program to its end: exit code, and what it wrote. */
function run(program: string, args: readonly string[]): Promise<{ code: number | null; text: string }> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { env: { ...process.env, SELM_THREADS: '1' } });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (text += data.toString()));
    child.on('close', (code) => resolve({ code, text }));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

const selm = (output: string): string[] => [
  process.execPath,
  join(packageRoot, 'bin', 'selm'),
  'train',
  recipePath,
  '--set',
  `output=${join(folder, output)}`,
];
const model = (output: string): string =>
  sha256(readFileSync(join(folder, output, 'iteration-1', 'model', 'model.safetensors')));

it('ranks of torchrun, on one machine or two, have the bytes of ranks that selm starts itself', async () => {
  expect(existsSync(torchrun), torchrun).toBe(true);
  const [program = '', ...args] = selm('own');
  expect(await run(program, [...args, '--ranks', '2'])).toMatchObject({ code: 0 });

  const port = String(await freePort());
  const one = await run(torchrun, [
    ...['--no-python', '--nproc-per-node', '2', '--master-addr', '127.0.0.1', '--master-port', port],
    ...selm('one-machine'),
  ]);
  expect(one.code, one.text).toBe(0);
  // Only rank 0 speaks.
  expect(one.text.match(/iteration 1\/1 train .* steps on/g)).toHaveLength(1);
  expect(model('one-machine')).toBe(model('own'));

  const shared = String(await freePort());
  const machines = await Promise.all(
    ['0', '1'].map((node) =>
      run(torchrun, [
        ...['--no-python', '--nnodes', '2', '--node-rank', node, '--nproc-per-node', '1'],
        ...['--master-addr', '127.0.0.1', '--master-port', shared],
        ...selm('two-machines'),
      ]),
    ),
  );
  expect(
    machines.map(({ code }) => code),
    machines.map(({ text }) => text).join('\n'),
  ).toEqual([0, 0]);
  expect(model('two-machines')).toBe(model('own'));
}, 300_000);
