/**
 * @file The process that holds a model's tokenizer (started by tokenizer-worker.mjs). A tokenizer.json comes with a downloaded
 * model, and the library that reads it ends its process for some files and texts: so that is a process of its own.
 * JavaScript, as it starts without a TypeScript loader; the compiler checks it all the same. It ends with the process that started it.
 */
import { Tokenizer } from 'tokenizers';

/**
 * @typedef {{ kind: 'load' } | { kind: 'ids', tokens: string[] }
 *   | { kind: 'encode', texts: string[], addSpecialTokens: boolean }
 *   | { kind: 'decode', rows: number[][], skipSpecialTokens: boolean }} Message
 */

const [file = ''] = process.argv.slice(2);
process.on('disconnect', () => process.exit(0));
// Ctrl-C on a terminal reaches this process too: the one that started it decides when it ends.
process.on('SIGINT', () => {});

/** @type {Tokenizer | null} */
let loaded = null;
function load() {
  const tokenizer = Tokenizer.fromFile(file);
  // Limits that a tokenizer.json may carry would cut or pad in silence.
  tokenizer.disableTruncation();
  tokenizer.disablePadding();
  return tokenizer;
}

/** @param {Message} message */
async function run(message) {
  loaded ??= load();
  const tokenizer = loaded;
  switch (message.kind) {
    case 'load':
      return { vocabularySize: tokenizer.getVocabSize(true) };
    case 'ids':
      return message.tokens.map((token) => tokenizer.tokenToId(token));
    case 'encode': {
      const encodings = await tokenizer.encodeBatch(message.texts, { addSpecialTokens: message.addSpecialTokens });
      return encodings.map((encoding) => encoding.getIds());
    }
    case 'decode':
      return tokenizer.decodeBatch(message.rows, message.skipSpecialTokens);
    default:
      throw new TypeError(`Unknown message: ${JSON.stringify(message)}`);
  }
}

process.on('message', async (message) => {
  try {
    process.send?.({ kind: 'value', value: await run(/** @type {Message} */ (message)) });
  } catch (error) {
    const { name, message: text } = error instanceof Error ? error : { name: 'Error', message: String(error) };
    process.send?.({ kind: 'error', name, message: text });
  }
});
