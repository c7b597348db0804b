/** @file What a ranker may be given by whoever opens it: a place to keep the answers it pays for, and a signal to stop. */

/** One reply of a server, whatever it held. */
export interface RawAnswer {
  /** The ranker that asked; spending is counted by it. */
  rankerId: string;
  /** `answer`: a whole reply of the agreed form, never asked for again. `problem`: kept to be looked at. */
  outcome: 'answer' | 'problem';
  /** Body as it came (secrets blacked out), or what is known of one that did not come whole. */
  text: string;
  /** As the server counted them; null where it did not say. */
  promptTokens: number | null;
  completionTokens: number | null;
}

/** What a ranker has used, in all attempts at the run. */
export interface Spending {
  calls: number;
  promptTokens: number;
  completionTokens: number;
}

/** Keeps raw answers by a hash of what was asked. */
export interface AnswerStore {
  /** Text of the answer under a key, or null; replies with a problem are no answers. */
  get(key: string): string | null;
  /** Keeps a reply, beside earlier ones of the same key; durable when it returns. */
  put(key: string, answer: RawAnswer): void;
  spent(rankerId: string): Spending;
}

/** Services of a ranker. */
export interface RankerServices {
  /** Asked for with the first question, so that a ranker can be opened before the run that keeps its answers. */
  answers: () => AnswerStore;
  /** Folder of the run, asked for with the first question; absent where nothing but a ranking is made. */
  runPath?: (() => string) | undefined;
  /** Aborting it ends the work with its reason; requests under way are heard out first, since they are paid for. */
  signal?: AbortSignal | undefined;
  /** Where rankers that are models compute. @default 'cpu' */
  device?: string | undefined;
  /** Whether to wait for people; else to end where they are asked, with an InterruptedError. @default true */
  waits?: boolean | undefined;
  /** Hears what a person should know and nothing fails of. */
  warn?: (text: string) => void;
}

/** A store that lasts as long as the process. */
export function memoryAnswers(earlier: Iterable<[key: string, answer: RawAnswer]> = []): AnswerStore {
  const answers = new Map<string, string>();
  const spending = new Map<string, Spending>();
  const put = (key: string, { rankerId, outcome, text, promptTokens, completionTokens }: RawAnswer): void => {
    if (outcome === 'answer') answers.set(key, text);
    const before = spending.get(rankerId) ?? { calls: 0, promptTokens: 0, completionTokens: 0 };
    spending.set(rankerId, {
      calls: before.calls + 1,
      promptTokens: before.promptTokens + (promptTokens ?? 0),
      completionTokens: before.completionTokens + (completionTokens ?? 0),
    });
  };
  for (const [key, answer] of earlier) put(key, answer);
  return {
    get: (key) => answers.get(key) ?? null,
    put,
    spent: (rankerId) => spending.get(rankerId) ?? { calls: 0, promptTokens: 0, completionTokens: 0 },
  };
}
