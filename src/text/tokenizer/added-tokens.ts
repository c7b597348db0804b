/**
 * @file Tokens that a model's other files name and tokenizer.json does not hold. transformers adds them as it loads, so the
 * model was trained on one id where tokenizer.json alone spells the token out in letters. tokenizer.json is all that is read
 * for ids here; where the files disagree about them, the model is refused with the token and the files.
 */
import { join } from 'node:path';
import { shownValue, TextError } from '../../errors.ts';

type Fields = Readonly<Record<string, unknown>>;

/** The files, parsed; null where one is missing. */
export interface TokenFiles {
  tokenizer: Fields;
  config: Fields;
  specialTokensMap: Fields;
  addedTokens: Fields;
}

/** An added token, as tokenizer.json and `added_tokens_decoder` write it. */
interface AddedToken {
  content: string;
  flags: Fields;
}

/** A token that a file other than tokenizer.json adds. */
interface NamedToken extends AddedToken {
  file: string;
  field: string;
}

/** Flags that decide whether white space beside a token belongs to it, and whether it is found inside words. */
const MATCHING_FLAGS = ['lstrip', 'rstrip', 'single_word'];

/**
 * Throws TextError TOKENIZER_FILES where a token of tokenizer_config.json (`added_tokens_decoder`,
 * `additional_special_tokens`, `extra_special_tokens`) is missing in tokenizer.json, or is matched otherwise there. Without an
 * `added_tokens_decoder` transformers reads special_tokens_map.json and added_tokens.json too, and so does this.
 */
export function checkAddedTokens(directory: string, { tokenizer, config, ...older }: TokenFiles): void {
  const held = new Map(addedTokens(tokenizer.added_tokens).map((token) => [token.content, token.flags]));
  const hasDecoder = config.added_tokens_decoder !== undefined;
  const named = [
    ...decoderTokens(directory, config.added_tokens_decoder),
    ...specialLists('tokenizer_config.json', config),
    ...(hasDecoder ? [] : specialLists('special_tokens_map.json', older.specialTokensMap)),
    ...(hasDecoder ? [] : Object.keys(older.addedTokens).map((content) => legacyToken(content))),
  ];
  for (const { content, flags, file, field } of named) {
    const own = held.get(content);
    const where = `${field} of ${join(directory, file)}`;
    if (own === undefined)
      throw disagreement(directory, content, `is in ${where}, and ${tokenizerFile(directory)} lacks it`);
    for (const flag of MATCHING_FLAGS) {
      if (flags[flag] === undefined || (flags[flag] === true) === (own[flag] === true)) continue;
      const told = `has ${flag} ${shownValue(flags[flag])} in ${where}, and ${shownValue(own[flag] ?? false)} in ${tokenizerFile(directory)}`;
      throw disagreement(directory, content, told);
    }
  }
}

function disagreement(directory: string, content: string, problem: string): TextError {
  return new TextError(
    'TOKENIZER_FILES',
    `Cannot load the tokenizer of ${directory}: the token ${shownValue(content)} ${problem}: save the tokenizer again in Python, which writes all of it to tokenizer.json (AutoTokenizer.from_pretrained(...).save_pretrained(...))`,
    { details: { token: content, directory } },
  );
}

function tokenizerFile(directory: string): string {
  return join(directory, 'tokenizer.json');
}

function legacyToken(content: string): NamedToken {
  return { content, flags: {}, file: 'added_tokens.json', field: 'an entry' };
}

function addedTokens(value: unknown): AddedToken[] {
  return (Array.isArray(value) ? value : []).flatMap((entry: unknown) => tokenOf(entry) ?? []);
}

function tokenOf(value: unknown): AddedToken | null {
  if (typeof value === 'string') return { content: value, flags: {} };
  if (typeof value !== 'object' || value === null) return null;
  const flags = value as Fields;
  return typeof flags.content === 'string' ? { content: flags.content, flags } : null;
}

/** `added_tokens_decoder`: an object of tokens by id. transformers, too, goes by their texts and not by these ids. */
function decoderTokens(directory: string, value: unknown): NamedToken[] {
  if (value === undefined || value === null) return [];
  const [file, field] = ['tokenizer_config.json', 'added_tokens_decoder'];
  return Object.values(typeof value === 'object' ? value : { '': value }).map((entry: unknown) => {
    const token = typeof entry === 'string' ? null : tokenOf(entry);
    if (token !== null) return { ...token, file, field };
    throw new TextError(
      'TOKENIZER_FILES',
      `Cannot read field "${field}" of ${join(directory, file)}: ${shownValue(entry)}: it must be an object of tokens with a text "content"`,
    );
  });
}

/** Lists of special tokens without a role of their own; in `extra_special_tokens` they may have names, as `image_token`. */
function specialLists(file: string, fields: Fields): NamedToken[] {
  return ['additional_special_tokens', 'extra_special_tokens'].flatMap((field) => {
    const value = fields[field];
    const entries: unknown[] = typeof value === 'object' && value !== null ? Object.values(value) : [];
    return entries.flatMap((entry) => {
      const token = tokenOf(entry);
      return token === null ? [] : [{ ...token, file, field }];
    });
  });
}
