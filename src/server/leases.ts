/**
 * @file Which questions are in front of whom, so that two annotators are not given the same one. A lease lasts a few seconds
 * and is renewed while the page is open; an annotator who leaves gives everything back. Leases are not stored: a new studio
 * begins without any.
 */

/** How long a question stays with a page that is not heard of any more. */
const LEASE_MS = 10_000;

/** Whether a lease goes on; one that ends later than any can is of before a clock was set back. */
function isHeld(until: number, now: number): boolean {
  return until > now && until <= now + LEASE_MS;
}

export class Leases {
  /** Who has a question, and until when. */
  readonly #until = new Map<string, Map<string, number>>();

  /** How many others have a question in front of them. */
  others(question: string, annotator: string, now: number): number {
    return [...(this.#until.get(question) ?? [])].filter(([who, until]) => who !== annotator && isHeld(until, now))
      .length;
  }

  /** Gives questions to an annotator, and takes all others back from it. */
  give(questions: readonly string[], annotator: string, now: number): void {
    for (const [question, holders] of this.#until) {
      holders.delete(annotator);
      for (const [who, until] of holders) if (!isHeld(until, now)) holders.delete(who);
      if (holders.size === 0) this.#until.delete(question);
    }
    for (const question of questions) {
      const holders = this.#until.get(question) ?? new Map<string, number>();
      this.#until.set(question, holders.set(annotator, now + LEASE_MS));
    }
  }
}
