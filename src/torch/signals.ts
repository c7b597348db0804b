/** @file Stop signals while the engine computes, when Node's event loop does not turn (native/signals.cc). */
import { native } from './native.ts';

/**
 * From now on the first SIGINT or SIGTERM is answered at once on stderr, with `before`, its name and `text`, also in the
 * middle of native work, and then heard by Node as always; the second ends the process at once. False, and nothing
 * changes, where Node does not listen to both. Listening again or no longer in Node takes it back. EngineError.
 */
export function answerSignals(before: string, text: string): boolean {
  return native().answerSignals(before, text);
}
