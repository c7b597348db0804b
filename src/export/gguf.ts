/**
 * @file Writes GGUF version 3, the file format of llama.cpp: header, metadata, tensor table, data at offsets of 32 bytes.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Little-endian. Knows nothing of models.
 */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { fileError, writeAll } from '../files/fs.ts';

/** A value of the metadata, with the type that readers expect under its key. */
export type GgufValue =
  | { type: 'uint32' | 'float32'; value: number }
  | { type: 'bool'; value: boolean }
  | { type: 'string'; value: string }
  | { type: 'strings'; value: readonly string[] }
  | { type: 'int32s' | 'float32s'; value: readonly number[] };

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Types of tensor data, by GGML's names. q8_0: blocks of 32 numbers in 34 bytes. */
export type GgufTensorType = 'f32' | 'f16' | 'bf16' | 'q8_0';

/** A tensor to write; its data are asked for when their turn comes. */
export interface GgufTensor {
  name: string;
  type: GgufTensorType;
  /** Row-major as everywhere here, [O, I]; the file lists lengths from the innermost. */
  shape: readonly number[];
  bytes: () => Uint8Array;
}

const ALIGNMENT = 32;
/** Numbers of a q8_0 block. */
export const Q8_BLOCK = 32;
const TENSOR_TYPES: Record<GgufTensorType, number> = { f32: 0, f16: 1, bf16: 30, q8_0: 8 };
const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

/** Bytes of a tensor's data. */
export function ggufBytes({ type, shape }: Pick<GgufTensor, 'type' | 'shape'>): number {
  const elements = shape.reduce((product, length) => product * length, 1);
  switch (type) {
    case 'f32':
      return elements * 4;
    case 'f16':
    case 'bf16':
      return elements * 2;
    case 'q8_0':
      return (elements / Q8_BLOCK) * (2 + Q8_BLOCK);
  }
}

/** Writes the file and fsyncs it; its folder and its final name are the caller's (files/atomic.ts). Throws FileError. */
export function writeGguf(
  path: string,
  { metadata, tensors }: { metadata: GgufMetadata; tensors: readonly GgufTensor[] },
) {
  const head = encodeHead(metadata, tensors);
  const bytesNeeded = tensors.reduce((sum, tensor) => sum + padded(ggufBytes(tensor)), head.length);
  try {
    const fd = openSync(path, 'w');
    try {
      writeAll(fd, head);
      for (const tensor of tensors) {
        const data = tensor.bytes();
        const expected = ggufBytes(tensor);
        if (data.length !== expected) throw new Error(`${tensor.name} has ${data.length} bytes, not ${expected}`);
        writeAll(fd, data);
        writeAll(fd, new Uint8Array(padded(expected) - expected));
      }
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw fileError(error, { action: 'write', path, bytesNeeded });
  }
}

function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function encodeHead(metadata: GgufMetadata, tensors: readonly GgufTensor[]): Buffer {
  const parts: Buffer[] = [Buffer.from('GGUF'), uint32(3), uint64(tensors.length), uint64(metadata.size)];
  for (const [key, value] of metadata) parts.push(text(key), ...encodeValue(value));
  let offset = 0;
  for (const tensor of tensors) {
    const lengths = [...tensor.shape].reverse();
    parts.push(text(tensor.name), uint32(lengths.length), ...lengths.map(uint64));
    parts.push(uint32(TENSOR_TYPES[tensor.type]), uint64(offset));
    offset += padded(ggufBytes(tensor));
  }
  const head = Buffer.concat(parts);
  return Buffer.concat([head, Buffer.alloc(padded(head.length) - head.length)]);
}

function encodeValue(value: GgufValue): Buffer[] {
  switch (value.type) {
    case 'uint32':
      return [uint32(UINT32), uint32(value.value)];
    case 'float32':
      return [uint32(FLOAT32), float32(value.value)];
    case 'bool':
      return [uint32(BOOL), Buffer.from([value.value ? 1 : 0])];
    case 'string':
      return [uint32(STRING), text(value.value)];
    case 'strings':
      return [...arrayHead(STRING, value.value.length), ...value.value.map(text)];
    case 'int32s':
      return [...arrayHead(INT32, value.value.length), Buffer.from(Int32Array.from(value.value).buffer)];
    case 'float32s':
      return [...arrayHead(FLOAT32, value.value.length), Buffer.from(Float32Array.from(value.value).buffer)];
  }
}

function arrayHead(type: number, length: number): Buffer[] {
  return [uint32(ARRAY), uint32(type), uint64(length)];
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function uint64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

function float32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return buffer;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([uint64(bytes.length), bytes]);
}
