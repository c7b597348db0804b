/**
 * @file A model's tokenizer, from a Hugging Face directory. `encode` never adds special tokens: rendering.ts decides
 * where the start and end tokens go. The library answers by promises only, and for some files and texts it ends its
 * process: so it has a process of its own, behind a thread (tokenizer-worker.mjs). A call costs about 0.2 ms, so encode
 * many texts at once with `encodeBatch`.
 */
import { join } from 'node:path';
import { shownValue, TextError } from '../../errors.ts';
import { type SyncWorker, syncWorker, type WorkerAnswer } from './sync-worker.ts';
import { readTokenizerSettings, type TokenizerSettings } from './tokenizer-files.ts';

/** A loaded tokenizer. */
export interface Tokenizer {
  readonly directory: string;
  /** Ids of a text. A special token written out in the text is read as that token; none is added. */
  encode(text: string): number[];
  encodeBatch(texts: readonly string[]): number[][];
  /** As transformers' `tokenizer(text)`: with the special tokens that tokenizer.json's post-processor adds. */
  encodeBatchWithSpecialTokens(texts: readonly string[]): number[][];
  /** The text of ids, special tokens left out. */
  decode(ids: readonly number[]): string;
  decodeBatch(rows: readonly (readonly number[])[]): string[];
  /** Id of the start token; null where the model has none. */
  readonly bosId: number | null;
  /** False: tokenizer_config.json says `add_bos_token: false`, so only a chat template puts it in. */
  readonly addBosToken: boolean;
  /** Id of the end token of a response where the chat template names no other. */
  readonly eosId: number;
  /** Every id at which generation ends: of the tokenizer, generation_config.json and config.json, `eosId` first. */
  readonly stopIds: readonly number[];
  /** Their texts, in the same order; empty for an id that the tokenizer does not have. */
  readonly stopTokens: readonly string[];
  readonly vocabularySize: number;
  readonly chatTemplate: string | null;
  readonly bosToken: string | null;
  readonly eosToken: string | null;
  /** Texts that the tokenizer reads as control tokens: special, start and end tokens. */
  readonly specialTokens: readonly string[];
  /** Digest of all files that decide ids. */
  readonly sha256: string;
  /** Ends its thread and process now; a later call starts others. */
  close(): void;
}

/**
 * What the tokenizer's process may use: address space (Node itself takes about 1 GB of it), and time for one call, which is
 * a batch of texts and on a busy machine may take minutes.
 */
const PROCESS_LIMITS = { memoryKilobytes: 8 * 1024 * 1024, limitMs: 300_000 };

/**
 * Loads the tokenizer of a model directory: tokenizer.json (must be there), tokenizer_config.json,
 * special_tokens_map.json, generation_config.json, config.json, chat_template.jinja (each if there).
 * Throws TextError: TOKENIZER_FILES for files that are unreadable or disagree, TOKENIZER_LONGER for ids beyond the model's
 * embedding, TOKENIZER_END for a model without an end token.
 */
export function loadTokenizer(directory: string): Tokenizer {
  return beginTokenizer(directory)();
}

/** Begins to load a tokenizer, in a thread of its own; the function that it gives waits for the rest, and throws what loadTokenizer throws. */
export function beginTokenizer(directory: string): () => Tokenizer {
  const settings = readTokenizerSettings(directory);
  const worker = syncWorker(new URL('./tokenizer-worker.mjs', import.meta.url), {
    workerData: { file: join(directory, 'tokenizer.json'), ...PROCESS_LIMITS },
  });

  const loading = worker.begin({ kind: 'load' });
  return () => openTokenizer(directory, settings, worker, loading());
}

function openTokenizer(
  directory: string,
  settings: TokenizerSettings,
  worker: SyncWorker,
  loaded: WorkerAnswer,
): Tokenizer {
  function call(message: Record<string, unknown>): unknown {
    return valueIn(worker.call(message), String(message.kind));
  }

  function valueIn(answer: WorkerAnswer, kind: string): unknown {
    if (answer.kind === 'value') return answer.value;
    throw new TextError('TOKENIZER_FAILED', `Cannot use the tokenizer of ${directory} (${kind}): ${answer.message}`);
  }

  // The answers come from our own thread, whose types the messages decide.
  const { vocabularySize } = valueIn(loaded, 'load') as { vocabularySize: number };
  const { bosToken, eosToken } = settings;
  const named = (token: string | null, field: string): number | null => {
    if (token === null) return null;
    const [id] = call({ kind: 'ids', tokens: [token] }) as (number | null)[];
    if (id !== null && id !== undefined) return id;
    throw new TextError(
      'TOKENIZER_FILES',
      `Cannot load the tokenizer of ${directory}: "${field}" of tokenizer_config.json is "${token}", which tokenizer.json does not hold: correct one of the two`,
    );
  };
  const bosId = named(bosToken, 'bos_token');
  const namedEosId = named(eosToken, 'eos_token');
  const stopIds = [...new Set([...(namedEosId === null ? [] : [namedEosId]), ...settings.eosIds])];
  const eosId = stopIds[0];
  if (eosId === undefined) {
    throw new TextError(
      'TOKENIZER_END',
      `Cannot load the tokenizer of ${directory}: no end token: set "eos_token" in tokenizer_config.json or "eos_token_id" in generation_config.json`,
    );
  }
  const encodeBatch = (texts: readonly string[], addSpecialTokens: 'as-is' | 'added'): number[][] => {
    if (texts.length === 0) return [];
    const rows = call({ kind: 'encode', texts, addSpecialTokens: addSpecialTokens === 'added' }) as number[][];
    for (const { text, id } of settings.withoutRow) {
      if (!rows.some((ids) => ids.includes(id))) continue;
      throw new TextError(
        'TOKEN_WITHOUT_ROW',
        `Cannot encode a text with ${shownValue(text)}: this token (id ${id}) stands for something that is not text, and the model's embedding has no row for it: take it out of the text`,
        { details: { token: text, id } },
      );
    }
    return rows;
  };
  const stopRows = stopIds.map((id) => [id]);
  const stopTokens = call({ kind: 'decode', rows: stopRows, skipSpecialTokens: false }) as string[];
  const decodeBatch = (rows: readonly (readonly number[])[]): string[] =>
    rows.length === 0 ? [] : (call({ kind: 'decode', rows, skipSpecialTokens: true }) as string[]);
  const controls = [...settings.specialTokens, bosToken ?? '', eosToken ?? ''].filter((token) => token !== '');
  return {
    directory,
    encode: (text) => encodeBatch([text], 'as-is')[0] ?? [],
    encodeBatch: (texts) => encodeBatch(texts, 'as-is'),
    encodeBatchWithSpecialTokens: (texts) => encodeBatch(texts, 'added'),
    decode: (ids) => decodeBatch([ids])[0] ?? '',
    decodeBatch,
    bosId,
    addBosToken: settings.addBosToken,
    eosId,
    stopIds,
    stopTokens,
    vocabularySize,
    chatTemplate: settings.chatTemplate,
    bosToken,
    eosToken,
    specialTokens: [...new Set(controls)].sort((a, b) => b.length - a.length),
    sha256: settings.sha256,
    close: () => worker.close(),
  };
}
