/** @file What a model is asked, and what comes back. */

/** A prompt and what may follow it. */
export interface ChoiceRequest {
  id: string;
  context: string;
  /** With the space before them. */
  continuations: readonly string[];
}

/** A prompt to be continued. */
export interface AnswerRequest {
  id: string;
  context: string;
}

/** An answer to a request, or why there is none. */
export type Answered<Value> =
  | {
      kind: 'answered';
      id: string;
      value: Value /** Tokens of the prompt that did not fit, at its start. */;
      cut: number;
    }
  | { kind: 'refused'; id: string; problem: string };

/** How prompts are continued: greedily, up to a stop text or so many tokens. */
export interface AnswerSettings {
  stops: readonly string[];
  maxNewTokens: number;
  signal?: AbortSignal | undefined;
}
