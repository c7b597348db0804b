/**
 * @file Somebody who answers a run's questions through the studio's own interface, as the page does, and whose taste is known: a
 * reward, with noise, ties, lapses and time to think. For studies; what it answers depends on seed and question alone.
 */
import { setTimeout } from 'node:timers/promises';
import { sigmoid } from '../src/objective/sigmoid.ts';
import { normalAt, randomKey, uniformAt } from '../src/random.ts';
import type { GivenAnswer, OpenQuestions, ShownQuestion } from '../src/server/api.ts';

/** How somebody answers. */
export interface Taste {
  reward: (prompt: string, responses: string[]) => number[];
  /** Bradley-Terry: left is preferred with probability sigma(scale (left - right)). */
  scale: number;
  /** Share of the answers that are a key hit by chance. */
  lapses: number;
  seed: number;
}

/** Where the questions of a run are. */
export interface Desk {
  port: number;
  token: string;
  run: string;
}

/** Answers whatever is asked until told to end. Returns the number of answers. */
export async function annotate(desk: Desk, taste: Taste, isDone: () => boolean): Promise<number> {
  let answers = 0;
  while (!isDone()) {
    const { next } = (await request(desk, 'questions')) as OpenQuestions;
    for (const question of next) {
      await request(desk, 'answers', answerTo(question, taste));
      answers += 1;
    }
    // Nobody is faster than a key; nobody waits for the next question longer than this.
    await setTimeout(next.length > 0 ? 1 : 50);
  }
  return answers;
}

/** What is answered: as good is a tie, otherwise the better one more often than not. */
export function answerTo(
  { id, prompt, left, right }: ShownQuestion,
  { reward, scale, lapses, seed }: Taste,
): GivenAnswer {
  const key = randomKey(seed, 'simulated annotator', id);
  const [a = 0, b = 0] = reward(prompt, [left, right]);
  const isLapse = uniformAt(key, 0) < lapses;
  const prefersLeft = uniformAt(key, 1) < (isLapse ? 0.5 : sigmoid(scale * (a - b)));
  const choice = a === b && !isLapse ? 'tie' : prefersLeft ? 'left' : 'right';
  // Log-normal, eight seconds in the middle.
  const seconds = 8 * Math.exp(0.5 * normalAt(randomKey(seed, 'seconds of an annotator', id), 0));
  return { question: id, choice, seconds, key: `simulated-${seed}-${id}` };
}

/** Times that a request is sent again whose connection broke: an answer that comes twice counts once, by its key. */
const RETRIES = 5;

async function request(desk: Desk, path: string, body?: GivenAnswer, retries = RETRIES): Promise<unknown> {
  try {
    return await send(desk, path, body);
  } catch (error) {
    // What fetch throws where no whole answer came; a refusal is another error.
    if (!(error instanceof TypeError) || retries === 0) throw error;
    await setTimeout(100);
    return request(desk, path, body, retries - 1);
  }
}

async function send({ port, token, run }: Desk, path: string, body?: GivenAnswer): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}/api/runs/${encodeURIComponent(run)}/${path}`, {
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  // The run is not there yet, or is being opened.
  if (response.status === 404 && body === undefined) return { next: [] };
  if (!response.ok) throw new Error(`The studio answers ${response.status}: ${await response.text()}`);
  return response.json();
}
