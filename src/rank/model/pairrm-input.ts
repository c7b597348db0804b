/**
 * @file The input of PairRM: `[CLS]<|source|>prompt[SEP][CLS]<|candidate1|>left[SEP][CLS]<|candidate2|>right[SEP]`, each
 * part encoded and cut on its own (LLM-Blender's tokenize_pair). Its collator cuts candidates by the longest prompt of
 * the batch; here, as in tokenize_pair, by their own prompt, so that a verdict never depends on the batch.
 */
import { messageText } from '../../text/message.ts';
import type { Prompt } from '../../text/rendering.ts';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';

/** Texts that mark the parts; each is one token of PairRM's vocabulary. */
export const MARKERS = { source: '<|source|>', left: '<|candidate1|>', right: '<|candidate2|>' } as const;
/** Texts that would end or mark a part; inside a prompt or response each becomes a space. */
const CONTROL_TEXTS = ['[SEP]', ...Object.values(MARKERS), '<|candidate|>'];

/** Most tokens of the parts, special tokens included. */
export interface PairLimits {
  source: number;
  /** Of a candidate beside a source that fills its own limit; a shorter source leaves the rest to the candidates. */
  candidate: number;
}

/** Ids of the special tokens. */
export interface PairTokens {
  start: number;
  end: number;
  source: number;
  left: number;
  right: number;
}

/** The parts of one prompt with its candidates, encoded once and joined into every pair. */
export interface EncodedItem {
  source: number[];
  /** Ids of a candidate without its marker: the marker says on which side it stands. */
  candidates: number[][];
  /** What did not fit and lost its end. */
  cut: { prompt: boolean; candidates: boolean[] };
}

/** The ids of the special tokens in a tokenizer; null when one of them is missing. */
export function pairTokens(tokenizer: Tokenizer): PairTokens | null {
  const marker = (text: string): number | null => {
    const ids = tokenizer.encode(text);
    return ids.length === 1 && ids[0] !== undefined ? ids[0] : null;
  };
  const [source, left, right] = [marker(MARKERS.source), marker(MARKERS.left), marker(MARKERS.right)];
  const [start, end] = tokenizer.encodeBatchWithSpecialTokens([''])[0] ?? [];
  if (source === null || left === null || right === null || start === undefined || end === undefined) return null;
  return { source, left, right, start, end };
}

/** Encodes a prompt and its candidates, and cuts what is too long on the right. */
export function encodeItem(
  tokenizer: Tokenizer,
  tokens: PairTokens,
  input: { prompt: Prompt; candidates: readonly string[]; limits: PairLimits },
): EncodedItem {
  const { limits } = input;
  // A candidate is encoded behind the marker of one side, whose token is then replaced: pieces at the start of a text
  // depend on what stands before it.
  const texts = [
    MARKERS.source + withoutControls(pairPromptText(input.prompt)),
    ...input.candidates.map((text) => MARKERS.left + withoutControls(text)),
  ];
  const [sourceIds = [], ...candidateIds] = tokenizer.encodeBatch(texts);
  const ends = 2;
  const source = [tokens.start, ...sourceIds.slice(0, limits.source - ends), tokens.end];
  const room = Math.floor((limits.source + 2 * limits.candidate - source.length) / 2) - ends;
  return {
    source,
    candidates: candidateIds.map((ids) => ids.slice(1, room)),
    cut: {
      prompt: sourceIds.length > limits.source - ends,
      candidates: candidateIds.map((ids) => ids.length > room),
    },
  };
}

/** Ids of one ordered pair, and where its three markers stand. */
export function pairIds(
  tokens: PairTokens,
  parts: { source: readonly number[]; left: readonly number[]; right: readonly number[] },
): { ids: number[]; markers: [number, number, number] } {
  const { start, end } = tokens;
  const first = parts.source.length + 1;
  const second = first + parts.left.length + 3;
  return {
    ids: [...parts.source, start, tokens.left, ...parts.left, end, start, tokens.right, ...parts.right, end],
    markers: [1, first, second],
  };
}

/** The prompt as PairRM reads it: its bare text, or of a conversation of several messages each with its role. */
export function pairPromptText(prompt: Prompt): string {
  switch (prompt.kind) {
    case 'text':
      return prompt.text;
    case 'chat': {
      const [only] = prompt.messages;
      if (prompt.messages.length === 1 && only !== undefined) return messageText(only);
      return prompt.messages.map((message) => `${message.role.toUpperCase()}: ${messageText(message)}`).join('\n');
    }
  }
}

function withoutControls(text: string): string {
  return CONTROL_TEXTS.reduce((rest, control) => rest.replaceAll(control, ' '), text);
}
