/**
 * @file What one rendering may cost, in steps. Every operation pays before it works: a node of the template one step, work
 * on a text or list in proportion to its length. Time and memory are bounded by the same account, because whatever is made
 * is paid for, and a template ends at the same place on every machine.
 */

/** A template over a budget; the message says what it made ("made ..."). */
export class BudgetExceeded extends Error {
  override name = 'BudgetExceeded';
}

/** Limits of one rendering. */
export interface Limits {
  /** One step takes some 50 ns. */
  steps: number;
  /** Characters of one text or of the whole output. */
  characters: number;
  /** Items of one list. */
  items: number;
  /** Depth of expressions, blocks and macro calls in each other, and of lists in lists. */
  nesting: number;
}

/** Characters that are copied or compared in the time of a step. */
const CHARACTERS_A_STEP = 32;

/** The account of one rendering. */
export class Meter {
  readonly limits: Limits;
  #left: number;
  #depth = 0;

  constructor(limits: Limits) {
    this.limits = limits;
    this.#left = limits.steps;
  }

  /** Pays for steps; throws BudgetExceeded when none are left. */
  step(count = 1): void {
    this.#left -= count;
    if (this.#left < 0) throw new BudgetExceeded(`more than ${this.limits.steps} steps of work`);
  }

  /** Pays for reading this many characters. */
  read(characters: number): void {
    this.step(1 + characters / CHARACTERS_A_STEP);
  }

  /** Pays for a text of this many characters, which is about to be made. */
  text(characters: number): void {
    if (characters > this.limits.characters) {
      throw new BudgetExceeded(`a text of more than ${this.limits.characters} characters`);
    }
    this.read(characters);
  }

  /** Pays for a list of this many items, which is about to be made. */
  list(items: number): void {
    if (items > this.limits.items) throw new BudgetExceeded(`a list of more than ${this.limits.items} items`);
    this.step(1 + items);
  }

  /** Goes one level deeper, and one up again with `leave`. An error ends the whole rendering, so it needs no `leave`. */
  enter(): void {
    this.#depth += 1;
    if (this.#depth > this.limits.nesting) {
      throw new BudgetExceeded(`nesting or recursion deeper than ${this.limits.nesting}`);
    }
  }

  leave(): void {
    this.#depth -= 1;
  }

  /** Runs something one level deeper. */
  nested<Result>(run: () => Result): Result {
    this.enter();
    const result = run();
    this.leave();
    return result;
  }
}
