/**
 * @file SIGINT and SIGTERM for long work: the first asks it to stop at the next safe point, the second ends the process.
 * While native code runs, Node hears neither: src/torch/signals.ts answers them then.
 */
import { InterruptedError } from '../errors.ts';

/** A signal that came; the exit code is what a shell reports for a process that it ended, 128 + its number. */
export interface ReceivedSignal {
  name: 'SIGINT' | 'SIGTERM';
  exitCode: 130 | 143;
}

export interface Stop {
  /** Aborted, with an InterruptedError as reason, by the first signal. */
  signal: AbortSignal;
  readonly received: ReceivedSignal | null;
  /** Stops listening. */
  close(): void;
}

/**
 * Listens until `close`. After the first signal nobody listens any more: the system's own answer to the second ends the
 * process at once, even while native code runs.
 */
export function listenForStop(onStop: (name: ReceivedSignal['name']) => void): Stop {
  const controller = new AbortController();
  let received: ReceivedSignal | null = null;
  const close = (): void => {
    process.off('SIGINT', onInterrupt);
    process.off('SIGTERM', onTerminate);
  };
  const stop = (signal: ReceivedSignal): void => {
    close();
    received = signal;
    controller.abort(new InterruptedError('INTERRUPTED', `The run was stopped by ${signal.name}`));
    onStop(signal.name);
  };
  const onInterrupt = (): void => stop({ name: 'SIGINT', exitCode: 130 });
  const onTerminate = (): void => stop({ name: 'SIGTERM', exitCode: 143 });
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onTerminate);
  return {
    signal: controller.signal,
    get received() {
      return received;
    },
    close,
  };
}
