/** @file Outputs of a model for a judge: sampled once, and kept like the answers to benchmarks. */
import { sha256 } from '../files/hash.ts';
import { baseDirectory } from '../model/adapter/adapter.ts';
import { modelFingerprint, readWeights } from '../model/fingerprint.ts';
import { withModel } from '../model/load.ts';
import { readModelConfig } from '../model/read-config.ts';
import { type NamedPrompt, type Response, respondInOrder } from '../sample/respond.ts';
import { openSampler, type Sampler } from '../sample/sampler.ts';
import { type Prompt, renderPrompt } from '../text/rendering.ts';
import { loadTokenizer } from '../text/tokenizer/tokenizer.ts';
import type { AnswerStore } from './benchmarks/answer-store.ts';

export interface OutputSettings {
  temperature: number;
  topP: number;
  maxNewTokens: number;
  seed: number;
}

/** A model that outputs are asked of. */
export interface OutputModel {
  /**
   * An output for every prompt, in order; null where the prompt leaves the model's context no room. An interruption keeps those that
   * are finished.
   */
  sample(prompts: readonly Prompt[], settings: OutputSettings): Promise<(string | null)[]>;
  /** A text as a user's message, or as a text to go on with where the model has no chat template. */
  asPrompt(text: string): Prompt;
  /** A conversation, the user's turn first and last. */
  asConversation(turns: readonly string[]): Prompt;
  /** How many outputs were asked of it, and how many of them were there already. */
  readonly counts: { asked: number; kept: number };
  dispose(): void;
}

/** How outputs are sampled that are not there yet, and who samples. */
export type Respond = (
  prompts: readonly NamedPrompt[],
  settings: OutputSettings,
) => AsyncIterable<Pick<Response, 'promptId' | 'text'>>;

/** Opens a model folder; its weights are laid out when the first output is not there already. The store stays open. */
export async function openOutputModel(
  directory: string,
  {
    store,
    signal,
    device = 'cpu',
    respond = null,
  }: {
    store: AnswerStore;
    signal: AbortSignal | undefined;
    device?: string;
    /** In place of sampling here. @default null */
    respond?: Respond | null;
  },
): Promise<OutputModel> {
  await readWeights(directory);
  const identity = modelFingerprint(directory);
  const { maxPositions } = readModelConfig(baseDirectory(directory));
  const tokenizer = loadTokenizer(baseDirectory(directory));
  const counts = { asked: 0, kept: 0 };
  let sampler: Sampler | null = null;
  const conversation = (turns: readonly string[]): Prompt =>
    tokenizer.chatTemplate === null
      ? { kind: 'text', text: turns.join('\n\n') }
      : {
          kind: 'chat',
          messages: turns.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
        };
  const respondHere: Respond = (prompts, settings) => {
    sampler ??= withModel(directory, openSampler, { device });
    return respondInOrder({ sampler, tokenizer }, prompts, { ...settings, signal });
  };
  return {
    counts,
    asPrompt: (text) => conversation([text]),
    asConversation: conversation,
    async sample(prompts, { temperature, topP, maxNewTokens, seed }) {
      const settings = [temperature, topP, maxNewTokens, seed];
      const keys = prompts.map((prompt) =>
        sha256(JSON.stringify(['output-1', identity, tokenizer.sha256, ...settings, prompt])),
      );
      const open = new Map(keys.flatMap((key, i) => (store.get(key) === null ? [[key, prompts[i]] as const] : [])));
      counts.asked += prompts.length;
      counts.kept += prompts.length - open.size;
      const named = [...open].flatMap(([promptId, prompt]) => (prompt === undefined ? [] : [{ promptId, prompt }]));
      if (named.length > 0) {
        const fitting = named.filter(({ prompt }) => renderPrompt(tokenizer, prompt, 'clean').length < maxPositions);
        const how = { temperature, topP, maxNewTokens, seed };
        for await (const { promptId, text } of (respond ?? respondHere)(fitting, how)) {
          store.put([{ key: promptId, answer: JSON.stringify(text.trim()) }]);
        }
      }
      return keys.map((key) => {
        const kept = store.get(key);
        return kept === null ? null : String(JSON.parse(kept));
      });
    },
    dispose() {
      sampler?.dispose();
      tokenizer.close();
    },
  };
}
