/**
 * @file The thread between a model's tokenizer and its caller, who waits without an event loop (sync-worker.ts): passes calls
 * to tokenizer-process.mjs and its answers back. A process that ends or does not answer is an error of that call; the
 * next call starts another, as it does when a process has encoded so much that it should give its memory back, or was
 * ended because nobody called it for a while. JavaScript, as workers start without a TypeScript loader; the
 * compiler checks it all the same.
 */
import { fork } from 'node:child_process';
import { platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import { workerData } from 'node:worker_threads';

const script = fileURLToPath(new URL('./tokenizer-process.mjs', import.meta.url));

/** The library keeps about 1 KB of every text that it encodes for good (docs/LOG.md): a million rows would be gigabytes. */
const CHARACTERS_A_PROCESS = 25_000_000;
/** Training lasts for hours and needs no tokenizer: its process ends when nobody called for so long. */
const IDLE_MS = 30_000;
const { port, answers, file, limitMs, memoryKilobytes } = workerData;
const { idleMs = IDLE_MS, charactersAProcess = CHARACTERS_A_PROCESS } = workerData;

/** @type {import('node:child_process').ChildProcess | null} */
let child = null;
let charactersEncoded = 0;
/** Whether a call waits for the child. */
let waiting = false;
/** @type {NodeJS.Timeout | undefined} */
let timer;

/** @param {unknown} message */
function answer(message) {
  waiting = false;
  clearTimeout(timer);
  timer = setTimeout(letGo, idleMs);
  timer.unref();
  port.postMessage(message);
  Atomics.add(answers, 0, 1);
  Atomics.notify(answers, 0);
}

function start() {
  // The shell sets the limit and becomes Node; systems without one run without the limit.
  const limited =
    platform() === 'linux'
      ? { execPath: '/bin/sh', execArgv: ['-c', `ulimit -v ${memoryKilobytes}; exec "$0" "$@"`, process.execPath] }
      : { execArgv: [] };
  const started = fork(script, [file], {
    ...limited,
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // Arenas of many threads would reserve more address space than the limit.
    env: { ...process.env, RUST_BACKTRACE: '0', MALLOC_ARENA_MAX: '2' },
  });
  let errors = '';
  started.stderr?.on('data', (data) => {
    errors = (errors + data).slice(-4000);
  });
  started.on('message', (message) => answer(message));
  // Errors of starting and sending end in 'close', too.
  started.on('error', (error) => {
    errors += String(error);
  });
  started.on('close', (code, signal) => {
    // One that was let go may end while its successor is at work: that is no answer to anybody.
    if (child !== started) return;
    child = null;
    if (waiting)
      answer({ kind: 'error', name: 'Ended', message: `its process ended (${reasonOf(errors) ?? signal ?? code})` });
  });
  started.unref();
  started.channel?.unref();
  /** @type {import('node:net').Socket | null} */ (started.stderr)?.unref(); // a pipe is a socket
  return started;
}

/**
 * What a library written in Rust says before it aborts: the line after `panicked at FILE:`.
 *
 * @param {string} errors
 */
function reasonOf(errors) {
  const [, reason] = /panicked at [^\n]*\n([^\n]*)/.exec(errors) ?? [];
  return reason ?? errors.trim().split('\n').at(-1)?.slice(0, 300) ?? null;
}

/** Lets go of a process that has done its share, or that nobody calls: it ends by itself, and is nobody's any more. */
function letGo() {
  if (child?.connected) child.disconnect();
  child = null;
  charactersEncoded = 0;
}

/** @param {{ kind: string, texts?: string[] }} message */
function replaceWorn(message) {
  if (message.kind !== 'encode') return;
  if (charactersEncoded >= charactersAProcess) letGo();
  for (const text of message.texts ?? []) charactersEncoded += text.length;
}

port.on('message', (/** @type {{ kind: string, texts?: string[] }} */ message) => {
  replaceWorn(message);
  child ??= start();
  waiting = true;
  clearTimeout(timer);
  timer = setTimeout(() => child?.kill('SIGKILL'), limitMs);
  child.send(message);
});
Atomics.add(answers, 0, 1);
Atomics.notify(answers, 0);
