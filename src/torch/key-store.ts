/**
 * @file The table of keys through which ranks find each other and tell each other everything that is not a tensor: PyTorch's
 * TCPStore, hosted by one rank (or by torchrun's agent). Values are bytes of at most a few megabytes.
 */
import { RankLostError, RanksError } from '../errors.ts';
import { native } from './native.ts';

/** Where the table is, and who hosts it. */
export interface KeyStoreAddress {
  host: string;
  /** 0 where this process hosts it: any free one. */
  port: number;
  hosts: boolean;
}

/** The table as this process sees it: all keys stand below its prefix. */
export class KeyStore {
  readonly #id: number;
  readonly prefix: string;
  #isOpen = true;

  private constructor(id: number, prefix: string) {
    this.#id = id;
    this.prefix = prefix;
  }

  /** Opens it, or waits until its host has. Throws RanksError RANKS_PORT_IN_USE or RANKS_UNREACHABLE. */
  static async open(
    { host, port, hosts }: KeyStoreAddress,
    { prefix = 'selm', timeoutMs }: { prefix?: string; timeoutMs: number },
  ): Promise<KeyStore> {
    // TCPStore looks up the name of whoever connects, for its log, and does nothing else meanwhile.
    process.env.RES_OPTIONS ??= 'timeout:1 attempts:1';
    try {
      return new KeyStore(await native().openStore(host, port, hosts, timeoutMs), prefix);
    } catch (cause) {
      throw openingError(cause, { host, port, hosts, timeoutMs });
    }
  }

  /** The native store, for the collectives of a group that meets in it. */
  get id(): number {
    return this.#id;
  }

  get port(): number {
    return native().storePort(this.#id);
  }

  /** Throws, as all below, RankLostError RANK_STORE_GONE where the process that hosts the table is gone. */
  async set(key: string, value: Uint8Array | string): Promise<void> {
    const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    await this.#reach(() => native().storeSet(this.#id, `${this.prefix}/${key}`, bytes));
  }

  /** What stands at a key now, or null. */
  get(key: string): Promise<Uint8Array | null> {
    return this.#reach(() => native().storeGet(this.#id, `${this.prefix}/${key}`));
  }

  async getText(key: string): Promise<string | null> {
    const bytes = await this.get(key);
    return bytes === null ? null : new TextDecoder().decode(bytes);
  }

  async delete(key: string): Promise<void> {
    await this.#reach(() => native().storeDelete(this.#id, `${this.prefix}/${key}`));
  }

  /** From now on the key counts up, also while this process computes: others see that it lives. */
  beat(key: string, everyMs: number): void {
    native().storeBeat(this.#id, `${this.prefix}/${key}`, everyMs);
  }

  close(): void {
    if (this.#isOpen) native().closeStore(this.#id);
    this.#isOpen = false;
  }

  async #reach<Result>(call: () => Promise<Result>): Promise<Result> {
    try {
      return await call();
    } catch (cause) {
      const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
      throw new RankLostError('RANK_STORE_GONE', `Cannot reach the other ranks: rank 0 is gone (${reason})`, { cause });
    }
  }
}

function openingError(
  cause: unknown,
  { host, port, hosts, timeoutMs }: KeyStoreAddress & { timeoutMs: number },
): Error {
  const message = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
  const details = { host, port, reason: message };
  if (hosts && /EADDRINUSE|address already in use|failed to listen/i.test(String(cause))) {
    return new RanksError(
      'RANKS_PORT_IN_USE',
      `Cannot start the ranks: port ${port} of this machine is in use: set MASTER_PORT to a free one, the same for all ranks`,
      { cause, details },
    );
  }
  return new RanksError(
    'RANKS_UNREACHABLE',
    `Cannot join the ranks: nobody answers at ${host}:${port} (MASTER_ADDR, MASTER_PORT) within ${timeoutMs / 1000} s: start rank 0 there, and let this machine reach that port (${message})`,
    { cause, details },
  );
}
