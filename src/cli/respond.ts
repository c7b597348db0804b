/** @file The work of `selm generate`: prompts in, responses out, each printed as soon as those before it are. */

import type { Columns } from '../data/known-forms.ts';
import { modelReading } from '../data/measure.ts';
import { promptsAlone, rowsForModel } from '../data/model-rows.ts';
import { badRowError, readRows } from '../data/read.ts';
import { sha256 } from '../files/hash.ts';
import { localFiles, localModel } from '../hub/local.ts';
import { baseDirectory } from '../model/adapter/adapter.ts';
import { withModel } from '../model/load.ts';
import { type NamedPrompt, type Response, respondInOrder } from '../sample/respond.ts';
import { openSampler } from '../sample/sampler.ts';
import { promptReading, readPrompt } from '../text/reading.ts';
import { beginTokenizer, type Tokenizer } from '../text/tokenizer/tokenizer.ts';
import { chosenDevice } from './device.ts';
import { oneLine, printable } from './format.ts';
import { hubAccess } from './hub.ts';
import { promptAsText } from './prompts.ts';
import { say } from './ranks.ts';

/** What `selm generate` was asked for (its options; generate.ts says what each means). */
export interface GenerateOptions {
  prompt?: string;
  prompts?: string;
  columns?: Columns;
  limit?: number;
  samples: number;
  temperature: number;
  topP: number;
  topK: number;
  maxNewTokens: number;
  seed: number;
  device?: string;
  chat?: true;
  text?: true;
  json?: true;
}

/** The lines to print. Throws ModelError, TextError, DataError or HubError. */
export async function* respond(model: string, options: GenerateOptions): AsyncGenerator<string> {
  const modelDirectory = await localModel(model, hubAccess());
  const device = await chosenDevice(options.device, { say });
  const loading = beginTokenizer(baseDirectory(modelDirectory));
  // While the tokenizer's process starts.
  const sampler = withModel(modelDirectory, openSampler, { device });
  try {
    const tokenizer = loading();
    const prompts = await readPrompts(options, tokenizer);
    const several = prompts.length * options.samples > 1;
    for await (const response of respondInOrder({ sampler, tokenizer }, prompts, options)) {
      yield options.json ? jsonLine(response) : page(response, { samples: options.samples, several });
    }
  } finally {
    sampler.dispose();
  }
}

/** The prompts, texts read as training reads them: as the user's messages where the model has a chat template. */
async function readPrompts(
  { prompt, prompts, columns, limit = Infinity, chat, text }: GenerateOptions,
  tokenizer: Tokenizer,
): Promise<NamedPrompt[]> {
  const reading = promptReading(chat ? 'chat' : text ? 'raw' : null, tokenizer);
  if (prompts === undefined) {
    const content = prompt ?? '';
    return [{ promptId: sha256(content), prompt: readPrompt({ kind: 'text', text: content }, reading) }];
  }
  const lengths = { maxLength: Infinity, maxPromptLength: Infinity };
  const measure = modelReading(tokenizer, { rendering: 'clean', prompts: reading, ...lengths });
  const found = new Map<string, NamedPrompt>();
  const rows = readRows(await localFiles([prompts], hubAccess()), columns);
  for await (const parsed of rowsForModel(promptsAlone(rows), measure)) {
    if (found.size >= limit) break;
    if (parsed.kind === 'problem') throw badRowError(parsed);
    const { row } = parsed;
    found.set(row.promptId, { promptId: row.promptId, prompt: row.prompt });
  }
  return [...found.values()];
}

function jsonLine({ promptId, sampleIndex, text, tokenIds, finish, logProb }: Response): string {
  return JSON.stringify({ promptId, sampleIndex, text, tokenIds, finish, logProb });
}

/** One response alone is printed as it is; of several each has a head. */
function page(
  { prompt, sampleIndex, text, finish }: Response,
  { samples, several }: { samples: number; several: boolean },
): string {
  const shown = printable(text.trim()) + (finish === 'length' ? ' …' : '');
  if (!several) return shown;
  const sample = samples > 1 ? `, sample ${sampleIndex + 1} of ${samples}` : '';
  return `── ${oneLine(promptAsText(prompt), 70)}${sample}\n${shown}\n`;
}
