/**
 * @file Questions to a judge's server, each answered once: from the store when it was answered before, else by requests with
 * retries, at most so many at a time, and never more than the budget. What ends the work (server gone, key refused, budget
 * spent, user's stop) is thrown and no new request starts; those in flight are finished and kept.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { JudgeError } from '../../errors.ts';
import { randomKey, uniformAt } from '../../random.ts';
import type { RankerServices } from '../services.ts';
import { type JudgeBudget, openBudget, type Reservation } from './budget.ts';
import type { JudgeClient, JudgeRequest, Reply } from './client.ts';
import { type JudgeAnswer, parseCompletion } from './reading.ts';

/** An answer, or why this question has none though the server can be asked. */
export type Asked = { kind: 'answered'; answer: JudgeAnswer } | { kind: 'failed'; problem: string };

export interface AskingOptions {
  rankerId: string;
  client: JudgeClient;
  services: RankerServices;
  budget: JudgeBudget;
  /** Times a failed request is sent again. */
  retries: number;
  concurrency: number;
  /** First wait before another try, doubled each time. @default 1000 */
  backoffMs?: number;
}

export interface Asking {
  /** Throws JudgeError, or the reason of the aborted signal. */
  ask(key: string, request: JudgeRequest): Promise<Asked>;
  /** Waits for the requests under way; their answers are then in the store. Starts none that was waiting. */
  settle(): Promise<void>;
}

const MAX_BACKOFF_MS = 60_000;
/** A server that asks for a longer wait ends the run, which can go on later. */
const MAX_WAIT_MS = 5 * 60_000;

export function openAsking(options: AskingOptions): Asking {
  const { rankerId, client, services, budget, retries, concurrency, backoffMs = 1000 } = options;
  const { signal } = services;
  const store = services.answers();
  const keeper = openBudget(budget, store.spent(rankerId));
  /** Questions that are being asked: the same one from another item waits for the same answer. */
  const underWay = new Map<string, Promise<Asked>>();
  const waiting: (() => void)[] = [];
  let requests = 0;
  /** Time before which the server wants no request, by performance.now(). */
  let quietUntilMs = 0;
  /** Aborted when the work ends early: nobody waits any longer, nothing new is sent. */
  const halt = new AbortController();
  const stopped = signal === undefined ? halt.signal : AbortSignal.any([halt.signal, signal]);
  // Every request that waits listens to it; Node would take more than ten for a leak and say so.
  setMaxListeners(0, stopped);

  async function withSlot<Result>(work: () => Promise<Result>): Promise<Result> {
    // A freed slot is handed on: the count goes down only when nobody waits.
    if (requests >= concurrency) await new Promise<void>((resolve) => waiting.push(resolve));
    else requests += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) requests -= 1;
      else next();
    }
  }

  function end(error: JudgeError): JudgeError {
    halt.abort(error);
    return error;
  }

  /** Sets the request's cost aside; throws when it might pass the budget. */
  async function reserve(request: JudgeRequest): Promise<Reservation> {
    const reserved = await keeper.reserve(request, () => stopped.throwIfAborted());
    if (typeof reserved !== 'string') return reserved;
    throw end(
      new JudgeError(
        'JUDGE_BUDGET',
        `Stopped asking the judge: ${reserved}: everything answered is kept; raise the ranker's budget and run the same command again`,
        { details: { ...keeper.spent, ...budget } },
      ),
    );
  }

  async function sendAndKeep(key: string, request: JudgeRequest): Promise<Reply> {
    const reservation = await reserve(request);
    const reply = await client.send(request);
    const { usage, body } = reply;
    // A server that was never reached gave nothing to keep and took nothing.
    if (body === null) {
      reservation.forget();
      return reply;
    }
    if (reply.kind === 'failure' && reply.fault !== 'question' && usage === null) reservation.release();
    else reservation.settle(usage);
    store.put(key, {
      rankerId,
      outcome: reply.kind === 'answer' ? 'answer' : 'problem',
      text: reply.kind === 'answer' ? body : `${reply.problem}\n${body}`,
      promptTokens: usage?.promptTokens ?? null,
      completionTokens: usage?.completionTokens ?? null,
    });
    if (reply.kind === 'answer' && usage === null && budget.money !== null) {
      throw end(
        new JudgeError(
          'JUDGE_USAGE',
          'Stopped asking the judge: its server does not say how many tokens an answer took, so a budget of money cannot be kept: set budget.calls instead',
        ),
      );
    }
    return reply;
  }

  async function askServer(key: string, request: JudgeRequest): Promise<Asked> {
    for (let attempt = 0; ; attempt++) {
      const quietMs = quietUntilMs - performance.now();
      if (quietMs > 0) await pause(quietMs);
      const reply = await sendAndKeep(key, request);
      if (reply.kind === 'answer') return { kind: 'answered', answer: reply.answer };
      const tries = `${attempt + 1} ${attempt === 0 ? 'request' : 'requests'}`;
      const waitMs = Math.max(reply.retryAfterMs ?? 0, backoff(backoffMs, { key, attempt }));
      const patient = waitMs <= MAX_WAIT_MS;
      if (reply.retry && attempt < retries && patient) {
        if (reply.retryAfterMs !== null) quietUntilMs = Math.max(quietUntilMs, performance.now() + waitMs);
        await pause(waitMs);
        continue;
      }
      const wanted = patient ? '' : `, and it asks to wait ${Math.ceil(waitMs / 1000)} s`;
      const problem = `${reply.problem}, after ${tries}${wanted}`;
      if (reply.fault === 'question') return { kind: 'failed', problem };
      throw end(stopError(reply.fault, problem, request.model));
    }
  }

  /** Waits, unless the work ends meanwhile: then throws why. */
  async function pause(milliseconds: number): Promise<void> {
    try {
      await sleep(milliseconds, undefined, { signal: stopped });
    } catch {
      stopped.throwIfAborted();
    }
  }

  async function answerOf(key: string, request: JudgeRequest): Promise<Asked> {
    const kept = store.get(key);
    if (kept !== null) {
      const answer = parseCompletion(kept);
      // It was parsed before it was kept, so only another version of this program can fail here: ask again.
      if (!('problem' in answer)) return { kind: 'answered', answer };
    }
    return withSlot(() => askServer(key, request));
  }

  return {
    async ask(key, request) {
      stopped.throwIfAborted();
      const asked = underWay.get(key) ?? answerOf(key, request).finally(() => underWay.delete(key));
      underWay.set(key, asked);
      return asked;
    },
    async settle() {
      if (underWay.size > 0) halt.abort(new JudgeError('JUDGE_CLOSED', 'The judge was closed while it was asked'));
      while (underWay.size > 0) await Promise.allSettled(underWay.values());
    },
  };
}

/** Exponential, with a jitter that is the same in every run: between half and the whole of the step. */
function backoff(firstMs: number, { key, attempt }: { key: string; attempt: number }): number {
  const step = Math.min(MAX_BACKOFF_MS, firstMs * 2 ** attempt);
  return step * (0.5 + uniformAt(randomKey(0, 'judge-backoff', key), attempt) / 2);
}

function stopError(fault: 'server' | 'access', problem: string, model: string): JudgeError {
  switch (fault) {
    case 'server':
      return new JudgeError(
        'JUDGE_UNAVAILABLE',
        `Cannot ask judge "${model}": ${problem}: everything answered is kept; check baseUrl and the server, and run the same command again`,
      );
    case 'access':
      return new JudgeError(
        'JUDGE_REFUSED',
        `Cannot ask judge "${model}": ${problem}: check baseUrl, model, and the key in the variable that apiKeyVariable names, and run the same command again`,
      );
  }
}
