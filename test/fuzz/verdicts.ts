/**
 * @file 1,000 damaged safetensors files, each from its number, on which the reference library's verdicts are committed.
 * `tsx test/fuzz/verdicts.ts FOLDER` writes them for scripts/fixtures/safetensors_verdicts.py.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomKey } from '../../src/random.ts';
import { savedInputs } from './inputs.ts';
import { Draws, mutateBytes, mutateSafetensors } from './mutate.ts';

export const VERDICT_COUNT = 1000;

/** File `index`: every second one nearly right, the others with bytes or the header's JSON changed. */
export function verdictFiles(): Uint8Array[] {
  const corpus = savedInputs('corpus', 'safetensors').map(({ bytes }) => bytes);
  return Array.from({ length: VERDICT_COUNT }, (_, index) => {
    const draws = new Draws(randomKey(1, 'verdicts', index));
    if (index % 2 === 0) return nearlyRight(draws);
    const seed = draws.pick(corpus);
    return index % 4 === 1 ? mutateBytes(seed, draws, corpus) : mutateSafetensors(seed, draws, corpus);
  });
}

/** Types by name and bytes of an element; the last ones are of no version, or of parts of a byte. */
const TYPES: readonly (readonly [string, number])[] = [
  ...([
    ['F64', 8],
    ['I64', 8],
    ['U64', 8],
    ['C64', 8],
    ['F32', 4],
    ['I32', 4],
    ['U32', 4],
    ['F16', 2],
    ['BF16', 2],
  ] as const),
  ...([
    ['I16', 2],
    ['U16', 2],
    ['U8', 1],
    ['I8', 1],
    ['BOOL', 1],
    ['F8_E4M3', 1],
    ['F8_E5M2', 1],
    ['F8_E8M0', 1],
  ] as const),
  ...([
    ['F4', 0.5],
    ['F6_E2M3', 0.75],
    ['f32', 4],
    ['F128', 16],
  ] as const),
];
const NAMES = ['a', 'b.weight', '', '__proto__', 'constructor', '\u0000', 'é', '__metadata', ' a ', 'x'.repeat(300)];

/** A file as a writer would make it, mostly: tensors in a row, some with a flaw in their type, shape, offsets or names. */
function nearlyRight(draws: Draws): Uint8Array {
  const flaw = (chance: number): boolean => draws.below(chance) === 0;
  const fields: string[] = [];
  let at = 0;
  for (let count = draws.below(5); count > 0; count--) {
    const [dtype, bytes] = draws.pick(flaw(4) ? TYPES : TYPES.slice(0, 17));
    const shape = Array.from({ length: draws.below(4) }, () => draws.below(4));
    const size = Math.ceil(shape.reduce((product, length) => product * length, bytes));
    const begin = at + (flaw(40) ? draws.pick([-1, 1, 8]) : 0);
    const end = begin + size + (flaw(40) ? draws.pick([-1, 1, 8]) : 0);
    at += size;
    const sizes = flaw(30)
      ? [...shape, draws.pick(['1.0', '1e0', '-1', '18446744073709551616', '9007199254740993', 'null'])]
      : shape;
    const extra = flaw(30) ? draws.pick([',"later":1', ',"dtype":"U8"', ',"shape":[]']) : '';
    const name = JSON.stringify(`${draws.pick(NAMES)}${flaw(3) ? '' : count}`);
    fields.push(`${name}:{"dtype":"${dtype}","shape":[${sizes}],"data_offsets":[${begin},${end}]${extra}}`);
  }
  const metadata = draws.pick([
    '',
    '',
    '"__metadata__":{"format":"pt"}',
    '"__metadata__":null',
    '"__metadata__":{"n":1}',
  ]);
  if (metadata !== '') fields.splice(draws.below(fields.length + 1), 0, metadata);
  if (flaw(5)) fields.reverse();
  const text = `${flaw(30) ? draws.pick([' ', '\ufeff']) : ''}{${fields.join(',')}}${draws.pick(['', '', '  ', '\n', '\0'])}`;
  const header = new TextEncoder().encode(text);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
  return Uint8Array.from([
    ...length,
    ...header,
    ...new Uint8Array(Math.max(0, at + (flaw(30) ? draws.pick([-1, 1]) : 0))),
  ]);
}

/** Digest of all files, so that verdicts are known to be about these. */
export function digestOf(files: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.length}\n`).update(file);
  return hash.digest('hex');
}

const [, script = '', folder = ''] = process.argv;
if (script === fileURLToPath(import.meta.url)) {
  mkdirSync(folder, { recursive: true });
  const files = verdictFiles();
  for (const [index, bytes] of files.entries()) writeFileSync(join(folder, `${index}.safetensors`), bytes);
  writeFileSync(join(folder, 'digest'), digestOf(files));
}
