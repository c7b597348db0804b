/** @file Enough of a large file to tell it from another, in milliseconds: its size, its head, and blocks of the rest. */
import type { Hash } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';

// Enough blocks that other content of the same size cannot look the same, few enough to read in milliseconds.
const SAMPLED_BLOCKS = 64;
const BLOCK_BYTES = 4096;

/** Adds what it reads of a file to a hash: the first `head` bytes whole, of the others blocks at equal distances. Throws what Node throws. */
export function sampleFile(hash: Hash, path: string, { head }: { head: number }): void {
  const { size } = statSync(path);
  hash.update(`${size}\0${head}\0`);
  const stride = Math.max(BLOCK_BYTES, Math.floor((size - head) / SAMPLED_BLOCKS));
  const fd = openSync(path, 'r');
  try {
    hash.update(readBlock(fd, 0, head));
    for (let at = head; at < size; at += stride) hash.update(readBlock(fd, at, BLOCK_BYTES));
    hash.update(readBlock(fd, Math.max(head, size - BLOCK_BYTES), BLOCK_BYTES));
  } finally {
    closeSync(fd);
  }
}

function readBlock(fd: number, position: number, length: number): Buffer {
  const block = Buffer.alloc(length);
  return block.subarray(0, readSync(fd, block, 0, length, position));
}
