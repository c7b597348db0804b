/**
 * @file Answers that many pages ask for at the same time, made once: an answer is good while nothing was written to the
 * ledger, and for a moment after that, so that fifty pages that follow a run cost little more than one.
 */

/** How long an answer may be behind the ledger: longer if it took long to make, so that making it takes no more than 1 / 250 of the time. */
const [LEAST_FRESH_MS, MOST_FRESH_MS, FRESH_FOR_TAKEN] = [1000, 5000, 250];
/** Answers kept; the oldest makes room. */
const MOST_ANSWERS = 32;

export class Answers {
  readonly #clock: () => number;
  readonly #kept = new Map<string, { version: number; madeMs: number; freshMs: number; answer: Promise<string> }>();

  constructor(clock: () => number = Date.now) {
    this.#clock = clock;
  }

  /** The answer under a key as JSON: the kept one, or a new one. `version` changes with what the answer is made of. */
  async of(key: string, version: number, make: () => unknown): Promise<string> {
    const now = this.#clock();
    const kept = this.#kept.get(key);
    if (kept !== undefined && (kept.version === version || now - kept.madeMs < kept.freshMs)) {
      return kept.answer;
    }
    const answer = Promise.resolve()
      .then(make)
      .then((value) => JSON.stringify(value));
    this.#kept.delete(key);
    const made = { version, madeMs: now, freshMs: LEAST_FRESH_MS, answer };
    this.#kept.set(key, made);
    for (const oldest of [...this.#kept.keys()].slice(0, Math.max(0, this.#kept.size - MOST_ANSWERS)))
      this.#kept.delete(oldest);
    try {
      const json = await answer;
      const takenMs = this.#clock() - now;
      made.freshMs = Math.min(MOST_FRESH_MS, Math.max(LEAST_FRESH_MS, FRESH_FOR_TAKEN * takenMs));
      return json;
    } catch (error) {
      this.#kept.delete(key); // what failed is tried again
      throw error;
    }
  }
}
