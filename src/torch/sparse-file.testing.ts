/** @file For tests: a file of weights whose one tensor has 5 GB and whose disk has a few rows of it. Not used by the program. */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';

/** Rows and columns of the tensor `embedding`, in bf16: 5.0 GB, beyond what a JavaScript array of Node 20 can hold. */
export const SPARSE_SHAPE = [305_200, 8192] as const;

/** Writes the file; the named rows are of ones, all others are zeros that take no room on the disk. Returns its bytes. */
export function writeSparseFile(path: string, rowsOfOnes: readonly number[]): number {
  const [rows, columns] = SPARSE_SHAPE;
  const rowBytes = 2 * columns;
  const entry = { dtype: 'BF16', shape: [rows, columns], data_offsets: [0, rows * rowBytes] };
  const json = Buffer.from(JSON.stringify({ embedding: entry }));
  const header = Buffer.alloc(Math.ceil(json.length / 8) * 8, ' ');
  json.copy(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const ones = Buffer.from(new Uint16Array(columns).fill(0x3f80).buffer); // 1 in bf16
  const file = openSync(path, 'w');
  try {
    writeSync(file, length);
    writeSync(file, header);
    const begin = length.length + header.length;
    ftruncateSync(file, begin + rows * rowBytes);
    for (const row of rowsOfOnes) writeSync(file, ones, 0, rowBytes, begin + row * rowBytes);
    return begin + rows * rowBytes;
  } finally {
    closeSync(file);
  }
}
