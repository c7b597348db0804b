/**
 * @file Whether every id that a tokenizer can give has a row in the model's embedding. An embedding with more rows than the
 * tokenizer has tokens is common (padded to a round number) and fine; one with fewer fails at some text, hours into a run.
 */
import { join } from 'node:path';
import { shownValue, TextError } from '../../errors.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A token and its id. */
interface Token {
  text: string;
  id: number;
}

/** Special tokens with a role in every text. Other `..._token` settings stand for what is no text: a picture, a sound. */
const TEXT_ROLES = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

/**
 * Throws TextError TOKENIZER_LONGER where tokenizer.json has an id beyond the rows that config.json gives the embedding.
 * Placeholders of pictures and the like may lie beyond them (Gemma 3 1B has one): no text of a language model holds them, and
 * they are returned for encoding to refuse.
 */
export function idsBeyondEmbedding(
  directory: string,
  files: { tokenizer: Fields; config: Fields; model: Fields },
): Token[] {
  const rows = embeddingRows(files.model);
  if (rows === null) return [];
  const beyond = tokensFrom(rows, files.tokenizer);
  const placeholders = placeholdersOf(files.config);
  const last = beyond.filter(({ text }) => !placeholders.has(text)).reduce<Token | null>(later, null);
  if (last === null) return beyond;
  throw new TextError(
    'TOKENIZER_LONGER',
    `Cannot use the tokenizer of ${directory} with its model: ${join(directory, 'tokenizer.json')} has ${last.id + 1} ids (token ${shownValue(last.text)} is ${last.id}), and vocab_size of ${join(directory, 'config.json')} gives the embedding ${rows} rows: take the tokenizer that the model was trained with, or resize the embedding in Python (model.resize_token_embeddings)`,
    { details: { tokenizerIds: last.id + 1, embeddingRows: rows, token: last.text } },
  );
}

function later(a: Token | null, b: Token): Token {
  return a === null || b.id > a.id ? b : a;
}

/** Rows of the embedding: `vocab_size`, of the text part where a model has others; null where the file leaves it out. */
function embeddingRows(model: Fields): number | null {
  const text = model.text_config;
  const size = typeof text === 'object' && text !== null ? (text as Fields).vocab_size : model.vocab_size;
  return typeof size === 'number' ? size : null;
}

/** Tokens with an id of `rows` or more, in the vocabulary or added to it. */
function tokensFrom(rows: number, tokenizer: Fields): Token[] {
  const vocabulary: unknown = (tokenizer.model as Fields | null | undefined)?.vocab;
  const added: unknown[] = Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : [];
  const own = Array.isArray(vocabulary) ? pieces(rows, vocabulary) : entries(rows, vocabulary);
  const further = added.flatMap((entry) => {
    const { content, id } = (typeof entry === 'object' && entry !== null ? entry : {}) as Fields;
    return typeof content === 'string' && typeof id === 'number' && id >= rows ? [{ text: content, id }] : [];
  });
  return [...own, ...further];
}

/** Of a Unigram model: [text, score] in the order of ids. */
function pieces(rows: number, vocabulary: readonly unknown[]): Token[] {
  return vocabulary
    .slice(rows)
    .map((piece, i) => ({ text: String(Array.isArray(piece) ? piece[0] : piece), id: rows + i }));
}

/** Of BPE, WordPiece and WordLevel: ids by text. */
function entries(rows: number, vocabulary: unknown): Token[] {
  if (typeof vocabulary !== 'object' || vocabulary === null) return [];
  return Object.entries(vocabulary)
    .filter((entry): entry is [string, number] => typeof entry[1] === 'number' && entry[1] >= rows)
    .map(([text, id]) => ({ text, id }));
}

function placeholdersOf(config: Fields): Set<string> {
  const extra = config.extra_special_tokens;
  const named = typeof extra === 'object' && extra !== null && !Array.isArray(extra) ? Object.entries(extra) : [];
  return new Set(
    [...Object.entries(config), ...named].flatMap(([field, value]: [string, unknown]) =>
      field.endsWith('_token') && !TEXT_ROLES.includes(field) && typeof value === 'string' ? [value] : [],
    ),
  );
}
