/**
 * @file What is fuzzed: readers of files that come from elsewhere. Each is given one file; it may refuse it with an error of
 * this package, or accept it, and what it accepts is checked by rules that do not use the reader's own code. Anything
 * else is a find: another error, a wrong acceptance, too much time or memory, and the end of the process.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { readRows } from '../../src/data/read.ts';
import { SelmError } from '../../src/errors.ts';
import { packageRoot } from '../../src/files/package-root.ts';
import { readSafetensorsHeader } from '../../src/files/safetensors.ts';
import { safetensorsIndex } from '../../src/files/safetensors-index.ts';
import { readAdapterConfig } from '../../src/model/adapter/adapter-config.ts';
import { readModelConfig } from '../../src/model/read-config.ts';
import { expectedWeights } from '../../src/model/weights.ts';
import { loadRecipe } from '../../src/recipe/load.ts';
import { loadTokenizer } from '../../src/text/tokenizer/tokenizer.ts';
import { type Draws, mutateJsonText, mutateLines, mutateRaw, mutateSafetensors, mutateTokenizer } from './mutate.ts';

/** A reader under test. */
export interface Target {
  /** Name of the file inside the input's folder. */
  file: string;
  mutate: (input: Uint8Array, draws: Draws, others: readonly Uint8Array[]) => Uint8Array;
  /** Other files that must lie beside it. */
  prepare?: (folder: string) => void;
  /** Reads the file of the folder; throws what the reader throws, or Wrong for what it should not have accepted. */
  read: (folder: string) => Promise<void> | void;
  /** More processor time for one input than this is a find. @default 2000: inputs have a few kilobytes */
  cpuLimitMs?: number;
  /** Inputs after which the process is started afresh: readers that start threads. @default none */
  inputsPerProcess?: number;
}

/** An acceptance that the rules forbid. */
export class Wrong extends Error {}

/** What happened to one input. */
export type Outcome = { kind: 'accepted' } | { kind: 'refused'; code: string } | { kind: 'find'; what: string };

const CPU_LIMIT_MS = 2000;
const MEMORY_LIMIT_BYTES = 400e6;
/** An error is for people: a hostile file must not fill their terminal. */
const MESSAGE_LIMIT = 20_000;

/** Puts the input in place and reads it. */
export async function runInput(target: Target, folder: string, input: Uint8Array): Promise<Outcome> {
  writeFileSync(join(folder, target.file), input);
  const before = process.cpuUsage();
  const memory = process.memoryUsage().rss;
  const outcome = await readInput(target, folder);
  const { user, system } = process.cpuUsage(before);
  const cpuMs = (user + system) / 1000;
  if (outcome.kind !== 'find' && cpuMs > (target.cpuLimitMs ?? CPU_LIMIT_MS))
    return { kind: 'find', what: `it took ${cpuMs.toFixed(0)} ms` };
  const grown = process.memoryUsage().rss - memory;
  if (outcome.kind !== 'find' && grown > MEMORY_LIMIT_BYTES) {
    return { kind: 'find', what: `it took ${(grown / 1e6).toFixed(0)} MB` };
  }
  return outcome;
}

async function readInput(target: Target, folder: string): Promise<Outcome> {
  try {
    await target.read(folder);
    return { kind: 'accepted' };
  } catch (error) {
    if (!(error instanceof SelmError)) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      return { kind: 'find', what: text.slice(0, 2000) };
    }
    if (error.message.length > MESSAGE_LIMIT)
      return { kind: 'find', what: `a message of ${error.message.length} characters` };
    return { kind: 'refused', code: error.code };
  }
}

function require(condition: boolean, rule: string): void {
  if (!condition) throw new Wrong(`Accepted against the rule: ${rule}`);
}

/** All numbers of a value are finite, and its keys are its own. */
function requireFinite(value: unknown, path = ''): void {
  if (typeof value === 'number') require(Number.isFinite(value), `${path} is finite`);
  else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const [key, child] of value instanceof Map ? value : Object.entries(value))
      requireFinite(child, `${path}.${String(key)}`);
  }
}

const DTYPE_BITS: Record<string, bigint> = { BOOL: 8n, U8: 8n, I8: 8n, I16: 16n, U16: 16n, F16: 16n, BF16: 16n };
Object.assign(DTYPE_BITS, { I32: 32n, U32: 32n, F32: 32n, C64: 64n, F64: 64n, I64: 64n, U64: 64n });
Object.assign(DTYPE_BITS, { F8_E4M3: 8n, F8_E5M2: 8n, F8_E8M0: 8n, F8_E4M3FNUZ: 8n, F8_E5M2FNUZ: 8n });

/** The format's rules again, on JSON.parse and BigInt, from the file's bytes. */
function checkSafetensors(path: string): void {
  const found = readSafetensorsHeader(path);
  const bytes = readFileSync(path);
  const length = bytes.readBigUInt64LE(0);
  require(BigInt(found.dataOffset) === length + 8n, 'the data begin behind the header');
  const header = JSON.parse(bytes.toString('utf8', 8, found.dataOffset)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  require(names.length === found.tensors.size, 'every name counts once');
  const ranges: [bigint, bigint][] = [];
  for (const name of names) {
    const raw = header[name];
    const entry = found.tensors.get(name);
    require(raw !== undefined && entry !== undefined, `tensor ${name} is there`);
    if (raw === undefined || entry === undefined) return;
    const [begin, end] = raw.data_offsets.map(BigInt) as [bigint, bigint];
    const bits = raw.shape.reduce((product, size) => product * BigInt(size), DTYPE_BITS[raw.dtype] ?? -1n);
    require(bits >= 0n && end - begin === bits / 8n, `tensor ${name} has the bytes of its shape`);
    require(entry.begin === Number(begin) && entry.end === Number(end), `tensor ${name} lies where the header says`);
    ranges.push([begin, end]);
  }
  ranges.sort(([a, c], [b, d]) => Number(a - b) || Number(c - d));
  let at = 0n;
  for (const [begin, end] of ranges) {
    require(begin === at, 'tensors follow each other');
    at = end;
  }
  require(BigInt(found.dataOffset) + at === BigInt(bytes.length), 'tensors end with the file');
}

function checkConfig(folder: string): void {
  const { raw, ...config } = readModelConfig(folder);
  require(typeof raw.text === 'string', 'the file is kept');
  requireFinite(config);
  const sizes = [config.hiddenSize, config.intermediateSize, config.heads, config.keyValueHeads, config.headSize];
  for (const size of [...sizes, config.layers, config.vocabularySize, config.maxPositions]) {
    require(Number.isSafeInteger(size) && size > 0, 'sizes are whole numbers above 0');
  }
  require(config.heads % config.keyValueHeads === 0, 'key heads divide heads');
  require(config.layerAttention.length === config.layers, 'one attention a layer');
  for (const { rope } of config.layerAttention) require(config.ropes[rope] !== undefined, 'each layer has a rope');
  for (const [name, shape] of expectedWeights(readModelConfig(folder))) {
    const elements = shape.reduce((product, size) => product * BigInt(size), 1n);
    require(elements > 0n && elements * 4n < 2n ** 53n, `the bytes of ${name} can be counted`);
  }
}

/** Two shards with one tensor each, `a` and `b`. */
function writeShards(folder: string): void {
  for (const name of ['a', 'b']) {
    const header = Buffer.from(JSON.stringify({ [name]: { dtype: 'U8', shape: [1], data_offsets: [0, 1] } }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(join(folder, `${name}.safetensors`), Buffer.concat([length, header, Buffer.alloc(1)]));
  }
  mkdirSync(join(folder, 'sub'), { recursive: true });
}

function checkIndex(folder: string): void {
  for (const { path } of safetensorsIndex(folder).files) {
    const inside = relative(resolve(folder), path);
    require(!inside.startsWith('..') && !inside.startsWith('/'), `${path} lies in the folder`);
  }
}

/** Texts that every tokenizer must read or refuse. */
const TEXTS = ['Once upon a time', '', 'é\u{1f600}\u0000\ud800', ' '.repeat(300), '<s></s><unk>', 'a'.repeat(2000)];

function checkTokenizer(folder: string): void {
  const tokenizer = loadTokenizer(folder);
  require(Number.isSafeInteger(tokenizer.vocabularySize) && tokenizer.vocabularySize >= 0, 'the vocabulary has a size');
  const rows = tokenizer.encodeBatch(TEXTS);
  require(rows.length === TEXTS.length, 'one list of ids a text');
  for (const ids of rows) for (const id of ids) require(Number.isSafeInteger(id) && id >= 0, 'ids are whole numbers');
  require(tokenizer.decodeBatch(rows).length === rows.length, 'one text a list of ids');
}

function checkRecipe(folder: string): void {
  const recipe = loadRecipe(join(folder, 'recipe.yaml'), { workingDirectory: folder });
  requireFinite(recipe);
  require(Object.getPrototypeOf(recipe) === Object.prototype, 'a recipe is a plain object');
  require(recipe.iterations >= 1 && recipe.training.batchSize >= 1, 'counts are above 0');
}

async function checkRows(path: string): Promise<void> {
  for await (const parsed of readRows([path])) {
    if (parsed.kind === 'problem') {
      require(parsed.problem.length > 0 && parsed.detail.length < 5000, 'a problem is told in a few words');
      continue;
    }
    const { prompt, chosen, rejected, promptId } = parsed.row;
    require(promptId.length > 0, 'a prompt has an id');
    if (prompt.kind === 'text') require(prompt.text.length > 0, 'a prompt has a text');
    else {
      require(prompt.messages.length > 0, 'a chat has messages');
      for (const { role, content } of prompt.messages)
        require(typeof role === 'string' && typeof content === 'string', 'messages are texts');
    }
    for (const text of [chosen, rejected]) require(text === null || typeof text === 'string', 'responses are texts');
  }
}

const stories = join(packageRoot, 'assets', 'stories260K');

export const TARGETS: Readonly<Record<string, Target>> = {
  safetensors: {
    file: 'model.safetensors',
    mutate: mutateSafetensors,
    read: (folder) => checkSafetensors(join(folder, 'model.safetensors')),
  },
  index: {
    file: 'model.safetensors.index.json',
    mutate: mutateJsonText,
    prepare: writeShards,
    read: checkIndex,
  },
  config: { file: 'config.json', mutate: mutateJsonText, read: checkConfig },
  adapter: {
    file: 'adapter_config.json',
    mutate: mutateJsonText,
    read: (folder) => requireFinite(readAdapterConfig(folder)),
  },
  tokenizer: {
    file: 'tokenizer.json',
    mutate: mutateTokenizer,
    prepare: (folder) => {
      for (const name of ['tokenizer_config.json', 'generation_config.json'])
        writeFileSync(join(folder, name), readFileSync(join(stories, name)));
    },
    read: checkTokenizer,
    inputsPerProcess: 60,
  },
  recipe: { file: 'recipe.yaml', mutate: mutateRaw, read: checkRecipe },
  jsonl: { file: 'rows.jsonl', mutate: mutateLines, read: (folder) => checkRows(join(folder, 'rows.jsonl')) },
  gzip: { file: 'rows.jsonl.gz', mutate: mutateRaw, read: (folder) => checkRows(join(folder, 'rows.jsonl.gz')) },
  zstd: { file: 'rows.jsonl.zst', mutate: mutateRaw, read: (folder) => checkRows(join(folder, 'rows.jsonl.zst')) },
  parquet: { file: 'rows.parquet', mutate: mutateRaw, read: (folder) => checkRows(join(folder, 'rows.parquet')) },
};
