/**
 * @file The other side of host.ts: runs in a worker thread, holds the user's module, answers calls. Everything
 * that a user's function can do to a thread (throw, hang, leave, fill the memory) ends here and not in the training run.
 */
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { tsImport } from 'tsx/esm/api';
import { noteReads } from './reads.ts';

/** What the host sends. */
export type HostMessage = { kind: 'call'; id: number; name: string; arguments: unknown[] } | { kind: 'ping' };

/** What the worker answers. `started` is posted before the user's code runs, so the host knows who blocks. */
export type WorkerMessage =
  /** `read`: files that it read while it was loaded; `files`: what its export of this name holds. */
  | { kind: 'ready'; functions: string[]; read: string[]; files: unknown }
  | { kind: 'load-failed'; reason: string }
  | { kind: 'started'; id: number }
  | { kind: 'done'; id: number; value: unknown }
  | { kind: 'threw'; id: number; reason: string }
  | { kind: 'pong' };

/** What the host gives to a new worker. */
export interface WorkerSettings {
  moduleUrl: string;
}

const settings = workerData as WorkerSettings;

function post(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}

/** What was thrown, and the line of the user's own files where that happened. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const place = placeOf(error.stack ?? '');
  return `${error.name}: ${error.message}${place === null ? '' : `, at ${place}`}`;
}

/** The first place in a stack that is neither Node's, nor a package's, nor ours; tsx has mapped it to the source. */
function placeOf(stack: string): string | null {
  for (const line of stack.split('\n')) {
    const found = /^\s+at (?:.*\()?(?:file:\/\/)?(\/[^()?]+|[A-Za-z]:[\\/][^()?]+?)(?:\?[^:()]*)?:(\d+):(\d+)\)?$/.exec(
      line,
    );
    const [, file = '', row = '', column = ''] = found ?? [];
    const isOurs = file === fileURLToPath(import.meta.url).split('?')[0];
    if (found !== null && !isOurs && !/[\\/]node_modules[\\/]/.test(file)) return `${file}:${row}:${column}`;
  }
  return null;
}

async function answer(functions: Map<string, (...values: unknown[]) => unknown>, message: HostMessage): Promise<void> {
  if (message.kind === 'ping') return post({ kind: 'pong' });
  post({ kind: 'started', id: message.id });
  try {
    const value = await functions.get(message.name)?.(...message.arguments);
    post({ kind: 'done', id: message.id, value }); // throws where the value cannot be copied: reported as thrown
  } catch (error) {
    post({ kind: 'threw', id: message.id, reason: reasonOf(error) });
  }
}

try {
  const reads = noteReads();
  const loaded = (await tsImport(settings.moduleUrl, import.meta.url)) as Record<string, unknown>;
  const functions = new Map<string, (...values: unknown[]) => unknown>();
  for (const [name, value] of Object.entries(loaded)) {
    // The module's own function; what it returns is checked by the host before anything uses it.
    if (typeof value === 'function') functions.set(name, value as (...values: unknown[]) => unknown);
  }
  parentPort?.on('message', (message: HostMessage) => void answer(functions, message));
  const files = loaded.files === undefined ? [] : JSON.parse(JSON.stringify(loaded.files) ?? 'null');
  post({ kind: 'ready', functions: [...functions.keys()], read: reads(), files });
} catch (error) {
  post({ kind: 'load-failed', reason: reasonOf(error) });
}
