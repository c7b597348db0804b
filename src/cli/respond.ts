/** @file The work of `selm generate`: prompts in, responses out, each printed as soon as those before it are. */
import { badRowError, readRows } from '../data/read.ts';
import { sha256 } from '../files/hash.ts';
import { baseDirectory } from '../model/adapter.ts';
import { withModel } from '../model/load.ts';
import { randomKey } from '../random.ts';
import { type GeneratedResponse, type GenerationRequest, generate } from '../sample/generate.ts';
import { openSampler } from '../sample/sampler.ts';
import { type Prompt, renderPrompt } from '../text/rendering.ts';
import { loadTokenizer, type Tokenizer } from '../text/tokenizer.ts';
import { oneLine, printable } from './format.ts';
import type { GenerateOptions } from './generate.ts';
import { promptAsText } from './prompts.ts';

/** Sequences generated at once: memory and speed, never the result. */
const BATCH_SIZE = 64;

interface NamedPrompt {
  promptId: string;
  prompt: Prompt;
}

/** The lines to print. Throws ModelError, TextError or DataError. */
export async function* respond(modelDirectory: string, options: GenerateOptions): AsyncGenerator<string> {
  const tokenizer = loadTokenizer(baseDirectory(modelDirectory));
  const prompts = await readPrompts(options, tokenizer);
  const sampler = withModel(modelDirectory, openSampler);
  try {
    const requests = prompts.map((prompt) => requestFor(prompt, tokenizer, options));
    const settings = { ...options, stopIds: tokenizer.stopIds, batchSize: BATCH_SIZE };
    const waiting = new Map<string, GeneratedResponse>();
    const order = requests.flatMap(({ promptId, samples }) =>
      samples.map(({ sampleIndex }) => `${sampleIndex}/${promptId}`),
    );
    let next = 0;
    for await (const response of generate(sampler, requests, settings)) {
      waiting.set(`${response.sampleIndex}/${response.promptId}`, response);
      for (let ready = waiting.get(order[next] ?? ''); ready !== undefined; ready = waiting.get(order[next] ?? '')) {
        waiting.delete(order[next] ?? '');
        const prompt = prompts[Math.floor(next / options.samples)]?.prompt;
        next++;
        yield options.json
          ? jsonLine(ready, tokenizer)
          : page(ready, { tokenizer, prompt, options, several: order.length > 1 });
      }
    }
  } finally {
    sampler.dispose();
  }
}

async function readPrompts(
  { prompt, prompts, limit = Infinity, chat, text }: GenerateOptions,
  tokenizer: Tokenizer,
): Promise<NamedPrompt[]> {
  const asChat = chat ?? (text ? false : tokenizer.chatTemplate !== null);
  if (prompts === undefined) {
    const content = prompt ?? '';
    return [{ promptId: sha256(content), prompt: asPrompt(content, asChat ? 'chat' : 'text') }];
  }
  const found = new Map<string, NamedPrompt>();
  for await (const parsed of readRows([prompts])) {
    if (found.size >= limit) break;
    if (parsed.kind === 'problem') throw badRowError(parsed);
    const { row } = parsed;
    found.set(row.promptId, { promptId: row.promptId, prompt: row.prompt });
  }
  return [...found.values()];
}

function asPrompt(content: string, kind: Prompt['kind']): Prompt {
  return kind === 'chat' ? { kind, messages: [{ role: 'user', content }] } : { kind, text: content };
}

function requestFor(
  { promptId, prompt }: NamedPrompt,
  tokenizer: Tokenizer,
  { samples, seed }: GenerateOptions,
): GenerationRequest {
  return {
    promptId,
    promptIds: renderPrompt(tokenizer, prompt, 'clean'),
    samples: Array.from({ length: samples }, (_, sampleIndex) => ({
      sampleIndex,
      key: randomKey(seed, 'generate', promptId, sampleIndex),
    })),
  };
}

function jsonLine(
  { promptId, sampleIndex, tokenIds, finish, logProb }: GeneratedResponse,
  tokenizer: Tokenizer,
): string {
  return JSON.stringify({ promptId, sampleIndex, text: tokenizer.decode(tokenIds), tokenIds, finish, logProb });
}

/** One response alone is printed as it is; of several each has a head. */
function page(
  { sampleIndex, tokenIds, finish }: GeneratedResponse,
  {
    tokenizer,
    prompt,
    options,
    several,
  }: { tokenizer: Tokenizer; prompt: Prompt | undefined; options: GenerateOptions; several: boolean },
): string {
  const text = printable(tokenizer.decode(tokenIds).trim()) + (finish === 'length' ? ' …' : '');
  if (!several) return text;
  const sample = options.samples > 1 ? `, sample ${sampleIndex + 1} of ${options.samples}` : '';
  return `── ${oneLine(promptAsText(prompt), 70)}${sample}\n${text}\n`;
}
