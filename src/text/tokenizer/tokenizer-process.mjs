/**
 * @file The process that holds a model's tokenizer (started by tokenizer-worker.mjs). A tokenizer.json comes with a downloaded
 * model, and the library that reads it ends its process for some files and texts: so that is a process of its own.
 * Plain JavaScript, as it starts without a TypeScript loader. It ends with the process that started it.
 */
import { Tokenizer } from 'tokenizers';

const [file] = process.argv.slice(2);
process.on('disconnect', () => process.exit(0));
// Ctrl-C on a terminal reaches this process too: the one that started it decides when it ends.
process.on('SIGINT', () => {});

let tokenizer = null;
function load() {
  tokenizer = Tokenizer.fromFile(file);
  // Limits that a tokenizer.json may carry would cut or pad in silence.
  tokenizer.disableTruncation();
  tokenizer.disablePadding();
}

async function run(message) {
  if (tokenizer === null) load();
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
      throw new TypeError(`Unknown message: ${message.kind}`);
  }
}

process.on('message', async (message) => {
  try {
    process.send({ kind: 'value', value: await run(message) });
  } catch (error) {
    process.send({ kind: 'error', name: error.name ?? 'Error', message: String(error.message ?? error) });
  }
});
