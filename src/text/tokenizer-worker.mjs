/** @file The thread that holds a model's tokenizer (called by tokenizer.ts). Plain JavaScript, as workers start without a TypeScript loader. */
import { workerData } from 'node:worker_threads';
import { Tokenizer } from 'tokenizers';

const { port, answers, file } = workerData;

function answer(message) {
  port.postMessage(message);
  Atomics.add(answers, 0, 1);
  Atomics.notify(answers, 0);
}

let tokenizer = null;
async function run(message) {
  switch (message.kind) {
    case 'load':
      tokenizer = Tokenizer.fromFile(file);
      // Limits that a tokenizer.json may carry would cut or pad in silence.
      tokenizer.disableTruncation();
      tokenizer.disablePadding();
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

port.on('message', async (message) => {
  try {
    answer({ kind: 'value', value: await run(message) });
  } catch (error) {
    answer({ kind: 'error', name: error.name ?? 'Error', message: String(error.message ?? error) });
  }
});
Atomics.add(answers, 0, 1);
Atomics.notify(answers, 0);
