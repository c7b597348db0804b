/**
 * @file tokenizer.json as the tokenizer of a GGUF file. llama.cpp has two kinds that matter here: `gpt2`, BPE over bytes
 * with a named pre-tokenizer, and `llama`, SentencePiece's BPE, which merges by scores instead of a list of merges. A
 * tokenizer that llama.cpp would read otherwise is refused with the reason.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { TextError } from '../errors.ts';
import type { Tokenizer } from '../text/tokenizer/tokenizer.ts';
import type { GgufMetadata, GgufValue } from './gguf.ts';

const pairs = z.union([z.array(z.tuple([z.string(), z.string()])), z.array(z.string())]);
const addedToken = z.looseObject({
  id: z.int().min(0),
  content: z.string(),
  special: z.boolean(),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  single_word: z.boolean().default(false),
});
const schema = z.looseObject({
  model: z.looseObject({
    type: z.string().optional(),
    vocab: z.record(z.string(), z.int().min(0)),
    merges: pairs,
    unk_token: z.string().nullish(),
    byte_fallback: z.boolean().nullish(),
    ignore_merges: z.boolean().nullish(),
  }),
  added_tokens: z.array(addedToken).default([]),
  pre_tokenizer: z.unknown(),
  normalizer: z.unknown(),
});
type TokenizerJson = z.infer<typeof schema>;

/** llama.cpp's kinds of tokens. */
const TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Splits of Llama 3 (and of DBRX before it), and of Qwen2: the patterns of their tokenizer.json. */
const LLAMA_3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const QWEN_2 = LLAMA_3.replace('\\p{N}{1,3}', '\\p{N}');

/**
 * What tokenizer.json says, as metadata, `general.name` among it. `vocabularySize` is the model's: ids without a token are
 * filled up. Throws TextError EXPORT_UNSUPPORTED.
 */
export function tokenizerMetadata(
  tokenizer: Tokenizer,
  { name, vocabularySize }: { name: string; vocabularySize: number },
): GgufMetadata {
  const path = join(tokenizer.directory, 'tokenizer.json');
  const refuse: Refuse = (reason) => {
    throw new TextError('EXPORT_UNSUPPORTED', `Cannot export the tokenizer of ${path} to GGUF: ${reason}`, {
      details: { file: path },
    });
  };
  const parsed = schema.safeParse(JSON.parse(readFileSync(path, 'utf8')));
  if (!parsed.success || (parsed.data.model.type ?? 'BPE') !== 'BPE')
    return refuse('it is no BPE, which is what is exported');
  const json = parsed.data;
  const merges = json.model.merges.map((merge) => (typeof merge === 'string' ? splitMerge(merge) : merge));
  const { tokens, types } = tokenList(json, { vocabularySize, refuse });
  const stepsOf = steps(json.pre_tokenizer);
  const metadata = stepsOf.some(({ type }) => type === 'ByteLevel')
    ? byteLevel(json, { steps: stepsOf, merges, refuse })
    : sentencePiece(json, { tokens, merges, refuse });
  metadata.set('general.name', { type: 'string', value: generalName(json, { name, refuse }) });
  metadata.set('tokenizer.ggml.tokens', { type: 'strings', value: tokens });
  metadata.set('tokenizer.ggml.token_type', { type: 'int32s', value: types });
  const [, endOfTurn] = tokenizer.stopIds;
  const ids: [string, number | null | undefined][] = [
    ['bos', tokenizer.bosId],
    ['eos', tokenizer.eosId],
    ['eot', endOfTurn],
    ['unknown', json.model.vocab[json.model.unk_token ?? '']],
  ];
  for (const [name, id] of ids)
    if (id !== null && id !== undefined) metadata.set(`tokenizer.ggml.${name}_token_id`, { type: 'uint32', value: id });
  const [withSpecialTokens = []] = tokenizer.encodeBatchWithSpecialTokens(['a']);
  const addsStart = tokenizer.bosId !== null && withSpecialTokens[0] === tokenizer.bosId;
  metadata.set('tokenizer.ggml.add_bos_token', { type: 'bool', value: addsStart });
  metadata.set('tokenizer.ggml.add_eos_token', { type: 'bool', value: false });
  if (tokenizer.chatTemplate !== null)
    metadata.set('tokenizer.chat_template', { type: 'string', value: tokenizer.chatTemplate });
  return metadata;
}

type Refuse = (reason: string) => never;

/**
 * llama.cpp takes away spaces after special tokens where the model's name holds "phi-3", and nowhere else: so the name
 * says what the tokenizer does.
 */
function generalName(
  { added_tokens: added }: TokenizerJson,
  { name, refuse }: { name: string; refuse: Refuse },
): string {
  const special = added.filter((token) => token.special);
  const odd = added.find((token) => token.lstrip || token.single_word || (token.rstrip && !token.special));
  if (odd !== undefined) refuse(`its token "${odd.content}" takes in what stands beside it`);
  // No text follows these in a prompt of Phi-3: releases differ in them, and either way is taken.
  const others = special.filter((token) => !['<unk>', '<s>', '</s>', '<|endoftext|>'].includes(token.content));
  if (!others.some((token) => token.rstrip)) return name.replaceAll(/phi-?3/gi, 'phi 3');
  const plain = others.find((token) => !token.rstrip);
  if (plain !== undefined) refuse(`its token "${plain.content}" keeps spaces after it and others take them away`);
  return /phi-?3/i.test(name) ? name : `${name} (phi-3)`;
}

/** "a b" of older files; a token never holds a space there. */
function splitMerge(merge: string): [string, string] {
  const at = merge.indexOf(' ', 1);
  return [merge.slice(0, at), merge.slice(at + 1)];
}

function tokenList(
  { model, added_tokens: added }: TokenizerJson,
  { vocabularySize, refuse }: { vocabularySize: number; refuse: Refuse },
): { tokens: string[]; types: number[] } {
  const tokens = Array.from({ length: vocabularySize }, (_, id) => `[PAD${id}]`);
  const types = tokens.map((): number => TYPES.unused);
  const put = (id: number, text: string, type: number): void => {
    if (id >= vocabularySize) refuse(`token "${text}" has id ${id}, the model has ${vocabularySize}`);
    tokens[id] = text;
    types[id] = type;
  };
  for (const [text, id] of Object.entries(model.vocab)) {
    const isByte = model.byte_fallback === true && /^<0x[0-9A-F]{2}>$/.test(text);
    put(id, text, isByte ? TYPES.byte : TYPES.normal);
  }
  for (const { id, content, special } of added) put(id, content, special ? TYPES.control : TYPES.userDefined);
  const unknown = model.vocab[model.unk_token ?? ''];
  if (unknown !== undefined) types[unknown] = TYPES.unknown;
  return { tokens, types };
}

interface Step {
  type?: unknown;
  [field: string]: unknown;
}

/** A pre-tokenizer or normalizer as the list of its steps. */
function steps(value: unknown): Step[] {
  if (typeof value !== 'object' || value === null) return [];
  const step = value as Step & { pretokenizers?: unknown; normalizers?: unknown };
  const inner = step.pretokenizers ?? step.normalizers;
  return Array.isArray(inner) ? inner.flatMap(steps) : [step];
}

function byteLevel(
  { model }: TokenizerJson,
  { steps: pre, merges, refuse }: { steps: readonly Step[]; merges: readonly [string, string][]; refuse: Refuse },
): Map<string, GgufValue> {
  const name = preTokenizer(pre, model.ignore_merges === true);
  if (name === null) return refuse('llama.cpp has no pre-tokenizer that is known to split as its own does');
  return new Map<string, GgufValue>([
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: name }],
    ['tokenizer.ggml.merges', { type: 'strings', value: merges.map(([left, right]) => `${left} ${right}`) }],
  ]);
}

/** llama.cpp's name of a way to split before bytes are merged. */
function preTokenizer(pre: readonly Step[], ignoresMerges: boolean): string | null {
  const [first, second] = pre;
  if (pre.length === 1 && first?.use_regex !== false && first?.add_prefix_space !== true) return 'gpt-2';
  if (pre.length !== 2 || second?.type !== 'ByteLevel' || second.add_prefix_space === true) return null;
  if (first?.type === 'Digits' && first.individual_digits === true && second.use_regex !== false) return 'smollm';
  if (first?.type !== 'Split' || first.behavior !== 'Isolated' || second.use_regex !== false) return null;
  const { Regex: pattern } = (first.pattern ?? {}) as { Regex?: unknown };
  if (pattern === LLAMA_3) return ignoresMerges ? 'llama-bpe' : 'dbrx';
  return pattern === QWEN_2 ? 'qwen2' : null;
}

/**
 * SentencePiece merges whatever two neighbours make a token, the highest score first; Hugging Face's form of it has a list
 * of all such merges, in that order. The score of a token is here minus the place of its first merge, which gives the
 * same order again, where the list is complete and the merges of a token stand together.
 */
function sentencePiece(
  json: TokenizerJson,
  { tokens, merges, refuse }: { tokens: readonly string[]; merges: readonly [string, string][]; refuse: Refuse },
): Map<string, GgufValue> {
  if (json.model.byte_fallback !== true)
    refuse('it has no byte tokens, without which llama.cpp cannot read every text');
  const odd = [...steps(json.normalizer), ...steps(json.pre_tokenizer)].find((step) => !isOfSentencePiece(step));
  if (odd !== undefined) refuse(`its step ${JSON.stringify(odd)} is none of SentencePiece's`);
  const scores = mergeScores(json, merges, refuse);
  const prefixed = [...steps(json.normalizer), ...steps(json.pre_tokenizer)].some(
    (step) => step.type === 'Prepend' || (step.type === 'Metaspace' && step.prepend_scheme !== 'never'),
  );
  return new Map<string, GgufValue>([
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'default' }],
    ['tokenizer.ggml.scores', { type: 'float32s', value: tokens.map((token) => scores.get(token) ?? 0) }],
    ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: prefixed }],
  ]);
}

/** Whether a step does what llama.cpp does: a space before the text, spaces as U+2581, nothing else. */
function isOfSentencePiece(step: Step): boolean {
  const { String: from } = (step.pattern ?? {}) as { String?: unknown };
  switch (step.type) {
    case 'Prepend':
      return step.prepend === '▁';
    case 'Replace':
      return from === ' ' && step.content === '▁';
    case 'Metaspace':
      return step.replacement === '▁';
    case 'Split':
      // Gemma's: no space is left to split at.
      return from === ' ';
    default:
      return false;
  }
}

/**
 * Minus the place of each token's first merge. One token may have no merge: transformers' older conversions (Llama 2,
 * Mistral) left out those of the piece whose score is 0, which is the first to be merged.
 */
function mergeScores(
  { model, added_tokens: added }: TokenizerJson,
  merges: readonly [string, string][],
  refuse: Refuse,
): Map<string, number> {
  const known = new Set(Object.keys(model.vocab));
  const whole = new Set(added.map(({ content }) => content));
  const lefts = new Map<string, Set<string>>();
  const scores = new Map<string, number>();
  merges.forEach(([left, right], place) => {
    const token = left + right;
    const first = scores.get(token);
    if (first === undefined) scores.set(token, -place);
    else if (place + first !== lefts.get(token)?.size) refuse(`the merges of "${token}" do not stand together`);
    lefts.set(token, (lefts.get(token) ?? new Set()).add(left));
  });
  const unlisted: string[] = [];
  for (const token of known) {
    const splits = whole.has(token) ? [] : splitsOf(token).filter((parts) => parts.every((part) => known.has(part)));
    const missing = splits.find(([left]) => lefts.get(token)?.has(left) !== true);
    if (missing === undefined) continue;
    if (!lefts.has(token) && unlisted.length === 0) unlisted.push(token);
    else refuse(`"${missing[0]}" and "${missing[1]}" have no merge to "${token}", but llama.cpp would merge them`);
  }
  for (const token of unlisted) scores.set(token, 1);
  return scores;
}

/** Every way to cut a token in two. */
function splitsOf(token: string): [string, string][] {
  const characters = Array.from(token);
  return characters.slice(1).map((_, i) => [characters.slice(0, i + 1).join(''), characters.slice(i + 1).join('')]);
}
