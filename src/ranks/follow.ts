/** @file What a rank other than 0 does: it waits for work, does its part, posts what it found, until rank 0 says that all is done. */
import { setTimeout as sleep } from 'node:timers/promises';
import { deserialize, serialize } from 'node:v8';
import { SelmError } from '../errors.ts';
import type { Group } from '../torch/group.ts';
import type { KeyStore } from '../torch/key-store.ts';
import { END_KEY } from '../torch/process-group.ts';
import { type Mail, mailKey, POLL_MS, partOf, type SharedWork, type Task, taskKey, taskName } from './team.ts';

/** How a run ended, as rank 0 tells the others. */
export type Ending = 'finished' | 'stopped' | 'failed';

/** A post of more bytes is cut: a table of keys takes a few megabytes a value. */
const POST_BYTES = 2 << 20;

/** Works until rank 0 ends the run. Throws what made this rank's own part fail, after telling rank 0. */
export async function follow(
  { group, store }: { group: Group; store: KeyStore },
  works: readonly SharedWork<never, never, unknown>[],
): Promise<Ending> {
  for (let task = 1; ; task++) {
    const ended = await nextTask(store, task);
    if (ended !== null) return ended;
    const stop = new AbortController();
    const watching = abortAtEnd(store, stop);
    try {
      await takePart({ group, store, task, signal: stop.signal }, works);
    } catch (error) {
      const ending = await endingOf(store);
      if (ending !== null) return ending; // whatever failed here failed because the others left
      throw error;
    } finally {
      clearInterval(watching);
    }
  }
}

/** Waits for a task; the ending of the run where it comes instead. */
async function nextTask(store: KeyStore, task: number): Promise<Ending | null> {
  for (;;) {
    if ((await store.get(taskKey(task))) !== null) return null;
    const ended = await endingOf(store);
    if (ended !== null) return ended;
    await sleep(POLL_MS);
  }
}

async function endingOf(store: KeyStore): Promise<Ending | null> {
  const text = await store.getText(END_KEY);
  return text === 'finished' || text === 'stopped' || text === 'failed' ? text : null;
}

/** Rank 0 that ends while this one computes is heard at the next pause of the work. */
function abortAtEnd(store: KeyStore, stop: AbortController): NodeJS.Timeout {
  return setInterval(() => {
    endingOf(store).then(
      (ending) => {
        if (ending !== null) stop.abort(new Error('Rank 0 ended the run'));
      },
      (error: unknown) => stop.abort(error),
    );
  }, 500);
}

async function takePart(
  { group, store, task, signal }: { group: Group; store: KeyStore; task: number; signal: AbortSignal },
  works: readonly SharedWork<never, never, unknown>[],
): Promise<void> {
  const name = (await store.getText(taskKey(task))) ?? '';
  const { setting, items } = deserialize(await group.share(taskName(task, name), new Uint8Array())) as Task;
  let posted = 0;
  const post = async (mail: Mail): Promise<void> => {
    const bytes = serialize(mail);
    if (mail.kind === 'results' && bytes.length > POST_BYTES && mail.results.length > 1) {
      const half = mail.results.length >> 1;
      await post({ kind: 'results', results: mail.results.slice(0, half) });
      return post({ kind: 'results', results: mail.results.slice(half) });
    }
    posted += 1;
    await store.set(mailKey(task, group.rank, posted - 1), bytes);
  };
  try {
    const work = works.find((each) => each.name === name);
    if (work === undefined) throw new Error(`Rank 0 asks for work that is not known here: ${name}`);
    // Rank 0 runs this very code: what it sends is what the work takes.
    const results = work.run(setting as never, partOf(items, group) as never[], { group, signal });
    await postAll(results, post);
    await post({ kind: 'done' });
  } catch (error) {
    const code = error instanceof SelmError ? error.code : 'INTERNAL';
    const message = error instanceof Error ? error.message : String(error);
    await post({ kind: 'failed', code, message }).catch(() => {});
    throw error;
  }
}

/** Posts results as they come; those that come while a post is under way go together. */
async function postAll(results: AsyncIterable<unknown>, post: (mail: Mail) => Promise<void>): Promise<void> {
  let waiting: unknown[] = [];
  let posting: Promise<void> | null = null;
  let failure: { error: unknown } | null = null;
  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      const now = waiting;
      waiting = [];
      await post({ kind: 'results', results: now });
    }
    posting = null;
  };
  const start = (): Promise<void> =>
    flush().catch((error: unknown) => {
      failure = { error };
    });
  for await (const result of results) {
    waiting.push(result);
    posting ??= start();
    throwIfFailed(failure);
  }
  await posting;
  throwIfFailed(failure);
}

function throwIfFailed(failure: { error: unknown } | null): void {
  if (failure !== null) throw failure.error;
}
