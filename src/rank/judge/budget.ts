/**
 * @file The budget of a judge: what its requests may use in all, over every attempt at the run. Before a request is sent,
 * the most that it can cost is set aside, so that requests side by side cannot pass a limit together.
 */
import type { Spending } from '../services.ts';
import type { JudgeRequest } from './client.ts';
import type { Usage } from './reading.ts';

/** What the run may use, in all attempts at it. */
export interface JudgeBudget {
  calls: number | null;
  /** Prices are of a million tokens. */
  money: MoneyBudget | null;
}

export interface MoneyBudget {
  limit: number;
  promptPrice: number;
  completionPrice: number;
}

/** What was set aside for one request; `settle` it once, when the reply is there. */
export interface Reservation {
  /** `usage` as the server counted it; null where it did not say, and the most it could be counts as used. */
  settle(usage: Usage | null): void;
  /** The server refused: the request counts as a call and took no money. */
  release(): void;
  /** The server was never reached: there was no call. */
  forget(): void;
}

export interface BudgetKeeper {
  /** Used so far: what the store knew, and what came since. */
  readonly spent: Readonly<Spending>;
  /**
   * Sets aside what a request can cost at most, and waits for requests under way where it would not fit beside them.
   * Returns why not, where it fits no more. `throwIfStopped` is called before and after every wait.
   */
  reserve(request: JudgeRequest, throwIfStopped: () => void): Promise<Reservation | string>;
}

/** Tokens that a server's chat template may put around one message. */
const TEMPLATE_TOKENS = 16;

/**
 * The most that a request can cost, without the server's tokenizer: a token is at least one byte of text, and the answer
 * ends at `maxTokens`.
 */
export function worstCost(request: Pick<JudgeRequest, 'messages' | 'maxTokens'>, prices: MoneyBudget): number {
  const promptTokens = request.messages.reduce(
    (sum, { role, content }) => sum + Buffer.byteLength(role) + Buffer.byteLength(content) + TEMPLATE_TOKENS,
    0,
  );
  return costOf({ promptTokens, completionTokens: request.maxTokens }, prices);
}

function costOf({ promptTokens, completionTokens }: Usage, { promptPrice, completionPrice }: MoneyBudget): number {
  return (promptTokens * promptPrice + completionTokens * completionPrice) / 1e6;
}

/** Keeps a budget, from what earlier attempts at the run have used. */
export function openBudget({ calls, money }: JudgeBudget, before: Spending): BudgetKeeper {
  const spent = { ...before };
  /** Money set aside for requests under way, and used by replies that did not say how much they took. */
  let reserved = 0;
  let unreported = 0;
  let underWay = 0;
  /** By how much a reply was dearer than the most it could cost: the server counts more than it was sent. */
  let excess = 0;
  let isMeasured = false;
  let waiting: (() => void)[] = [];

  /** `now`, `later` (it may fit when what is under way has cost less than it might), or why it never will. */
  function fits(worst: number): 'now' | 'later' | { problem: string } {
    if (calls !== null && spent.calls >= calls) return { problem: `its budget of ${calls} calls is spent` };
    if (money === null) return 'now';
    const used = costOf(spent, money) + unreported;
    if (used >= money.limit) return { problem: `its budget of ${money.limit} is spent (${used.toFixed(4)} used)` };
    // The first request goes alone: it shows how the server counts.
    if (used + reserved + worst <= money.limit) return isMeasured || underWay === 0 ? 'now' : 'later';
    if (underWay > 0) return 'later';
    return {
      problem: `${used.toFixed(4)} of its budget of ${money.limit} is used, and the next request may cost ${worst.toFixed(4)}`,
    };
  }

  function open(bound: number): Reservation {
    const worst = bound + excess;
    reserved += worst;
    underWay += 1;
    const end = (): void => {
      reserved = underWay === 1 ? 0 : reserved - worst;
      underWay -= 1;
      const woken = waiting;
      waiting = [];
      for (const wake of woken) wake();
    };
    return {
      settle(usage) {
        if (money !== null && usage !== null) {
          excess = Math.max(excess, costOf(usage, money) - bound);
          isMeasured = true;
        } else unreported += worst;
        spent.promptTokens += usage?.promptTokens ?? 0;
        spent.completionTokens += usage?.completionTokens ?? 0;
        end();
      },
      release: end,
      forget() {
        spent.calls -= 1;
        end();
      },
    };
  }

  return {
    spent,
    async reserve(request, throwIfStopped) {
      const bound = money === null ? 0 : worstCost(request, money);
      for (;;) {
        throwIfStopped();
        const verdict = fits(bound + excess);
        if (typeof verdict === 'object') return verdict.problem;
        if (verdict === 'now') break;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      spent.calls += 1;
      return open(bound);
    },
  };
}
