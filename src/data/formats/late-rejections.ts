/**
 * @file Holds back promise rejections that the Parquet library (hyparquet) leaves unawaited. It decodes columns side by
 * side and awaits them in turn: if two fail, it sees only the first, and Node would end the process because of the
 * other. Rejections from elsewhere are left alone.
 */

type Listener = NodeJS.UnhandledRejectionListener;

const OWN = /[\\/]node_modules[\\/](hyparquet|hysnappy|hyparquet-compressors)[\\/]|formats[\\/]parquet\.ts/;
let bodies = 0;
let listeners: Listener[] = [];

const hold: Listener = (reason, promise) => {
  if (reason instanceof Error && OWN.test(reason.stack ?? '')) return;
  if (listeners.length === 0) throw reason;
  for (const listener of listeners) listener(reason, promise);
};

/** Runs the body; the first failure comes out of it, later ones of the same work, until `isBusy` ends, are its echo. */
export async function withoutEchoes<T>(body: () => Promise<T>, isBusy: () => boolean): Promise<T> {
  if (bodies++ === 0) {
    listeners = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', hold);
  }
  try {
    return await body();
  } catch (error) {
    // Node reports what nobody awaits at the end of a turn; the columns that are still read need some.
    for (let quiet = 0; quiet < 3; quiet = isBusy() ? 0 : quiet + 1)
      await new Promise<void>((resolve) => setImmediate(resolve));
    throw error;
  } finally {
    if (--bodies === 0) {
      process.off('unhandledRejection', hold);
      for (const listener of listeners) process.on('unhandledRejection', listener);
    }
  }
}
