/**
 * @file Reads the text settings of a Hugging Face model directory: special tokens (texts or objects, in three files by
 * age), end tokens (a number or a list), the chat template (a file, a text or a list of named ones).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { shownValue, TextError } from '../../errors.ts';
import { sha256 } from '../../files/hash.ts';
import { checkModelFolder } from '../../files/model-folder.ts';
import { checkAddedTokens } from './added-tokens.ts';
import { idsBeyondEmbedding } from './vocabulary-size.ts';

/** What the files say; ids of tokens given by text are found by the tokenizer itself. */
export interface TokenizerSettings {
  bosToken: string | null;
  eosToken: string | null;
  /** `eos_token_id` of generation_config.json and config.json, in that order. */
  eosIds: number[];
  /** False where tokenizer_config.json says so: the model was trained without a token at the start. */
  addBosToken: boolean;
  chatTemplate: string | null;
  /** Texts of the added tokens that tokenizer.json marks as special. */
  specialTokens: string[];
  /** Placeholders of what is no text, with ids beyond the model's embedding. */
  withoutRow: readonly { text: string; id: number }[];
  sha256: string;
}

const tokenizerFiles = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'generation_config.json',
  'config.json',
  'chat_template.jinja',
] as const;
type TokenizerFile = (typeof tokenizerFiles)[number];

/** Reads the settings. Throws TextError TOKENIZER_FILES naming the file and the field. */
export function readTokenizerSettings(directory: string): TokenizerSettings {
  const texts = new Map<TokenizerFile, string>();
  for (const name of tokenizerFiles) {
    const text = readIfThere(join(directory, name));
    if (text !== null) texts.set(name, text);
  }
  if (!texts.has('tokenizer.json')) {
    checkModelFolder(directory);
    throw new TextError(
      'TOKENIZER_FILES',
      `Cannot load the tokenizer of ${directory}: tokenizer.json is missing: save the model with a fast tokenizer (in Python: AutoTokenizer.from_pretrained(...).save_pretrained(...))`,
    );
  }
  const objects = new Map<TokenizerFile, Record<string, unknown>>();
  for (const [name, text] of texts) {
    if (name !== 'chat_template.jinja') objects.set(name, parseObject(text, join(directory, name)));
  }
  const config = objects.get('tokenizer_config.json') ?? {};
  const tokenizer = objects.get('tokenizer.json') ?? {};
  const map = objects.get('special_tokens_map.json') ?? {};
  const addedPath = join(directory, 'added_tokens.json');
  const addedTokens = parseObject(readIfThere(addedPath) ?? '{}', addedPath);
  checkAddedTokens(directory, { tokenizer, config, specialTokensMap: map, addedTokens });
  const token = (field: string): string | null =>
    tokenText(config[field], join(directory, 'tokenizer_config.json'), field) ??
    tokenText(map[field], join(directory, 'special_tokens_map.json'), field);
  const eosIds = (['generation_config.json', 'config.json'] as const).flatMap((name) =>
    tokenIds(objects.get(name)?.eos_token_id, join(directory, name), 'eos_token_id'),
  );
  return {
    bosToken: token('bos_token'),
    eosToken: token('eos_token'),
    eosIds: [...new Set(eosIds)],
    addBosToken: config.add_bos_token !== false,
    chatTemplate: texts.get('chat_template.jinja') ?? chatTemplate(config.chat_template, directory),
    specialTokens: specialTokens(tokenizer.added_tokens),
    withoutRow: idsBeyondEmbedding(directory, { tokenizer, config, model: objects.get('config.json') ?? {} }),
    sha256: sha256(tokenizerFiles.map((name) => `${name}\n${sha256(texts.get(name) ?? '')}\n`).join('')),
  };
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
    throw new TextError('TOKENIZER_FILES', `Cannot read ${path}: ${String(cause)}`, { cause });
  }
}

function parseObject(text: string, path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TextError('TOKENIZER_FILES', `Cannot read ${path}: it is not JSON: ${String(cause)}`, { cause });
  }
  if (!isObject(value)) throw new TextError('TOKENIZER_FILES', `Cannot read ${path}: it must hold a JSON object`);
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A special token is a text, or an object with its text in `content`. */
function tokenText(value: unknown, path: string, field: string): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return value;
  if (isObject(value) && typeof value.content === 'string') return value.content;
  throw new TextError(
    'TOKENIZER_FILES',
    `Cannot read field "${field}" of ${path}: ${shownValue(value)}: it must be a text or an object with a text "content"`,
  );
}

function tokenIds(value: unknown, path: string, field: string): number[] {
  if (value === undefined || value === null) return [];
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  return ids.map((id) => {
    if (typeof id === 'number' && Number.isInteger(id) && id >= 0) return id;
    throw new TextError(
      'TOKENIZER_FILES',
      `Cannot read field "${field}" of ${path}: ${shownValue(value)}: it must be a token id or a list of token ids`,
    );
  });
}

/** One template, or the one named "default" of a list of {name, template}. */
function chatTemplate(value: unknown, directory: string): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) {
    const entries: unknown[] = value;
    for (const entry of entries) {
      if (isObject(entry) && entry.name === 'default' && typeof entry.template === 'string') {
        return entry.template;
      }
    }
  }
  throw new TextError(
    'TOKENIZER_FILES',
    `Cannot read field "chat_template" of ${join(directory, 'tokenizer_config.json')}: it must be a text or a list with a template named "default"`,
  );
}

function specialTokens(value: unknown): string[] {
  const entries: unknown[] = Array.isArray(value) ? value : [];
  return entries.flatMap((entry) =>
    isObject(entry) && entry.special === true && typeof entry.content === 'string' && entry.content !== ''
      ? [entry.content]
      : [],
  );
}
