/**
 * @file One reader for many pages. While at least one page follows, a feed looks at its source now and then, and what is new is
 * encoded once and written to all of them. Nobody there: nothing is looked at.
 */

/** One server-sent event. `id` only for those that a reader may go on behind. */
export interface Sent {
  event: 'event' | 'summary' | 'runs' | 'reset' | 'beat';
  data: string;
  id?: string;
}

/** A page that follows: an HTTP response that stays open. */
export interface Reader {
  write(bytes: Uint8Array): unknown;
  /** Bytes that were written and that nobody took yet. */
  readonly writableLength: number;
  /** Ends it when everything written was taken. */
  end(): unknown;
  /** Ends it at once. */
  destroy(): unknown;
}

/** What a look found; `over`: there is nothing to follow any more. */
export interface Look {
  sent: readonly Sent[];
  isOver: boolean;
}

/** A sign of life where nothing happens, so that a connection that broke is noticed. */
const BEAT_MS = 15_000;
/** A page that is so many bytes behind is let go: it comes back behind the last id that it saw, and holds no memory meanwhile. */
const MOST_WAITING = 1024 * 1024;

const utf8 = new TextEncoder();
const BEAT = encoded([{ event: 'beat', data: '{}' }]);

/** Messages as the bytes of an event stream. */
export function encoded(messages: readonly Sent[]): Uint8Array {
  const texts = messages.map(
    ({ event, data, id }) => `event: ${event}\ndata: ${data}\n${id === undefined ? '' : `id: ${id}\n`}\n`,
  );
  return utf8.encode(texts.join(''));
}

/** Pages that are told as often as was asked for. */
const MOST_AT_ONCE = 25;

/** Milliseconds from one look to the next: longer where many pages follow, so that all together take no more messages. */
export function msBetweenLooks(lookMs: number, pages: number): number {
  return lookMs * Math.max(1, pages / MOST_AT_ONCE);
}

/** Looks for its readers. */
export class Feed {
  readonly #look: () => Look;
  readonly #lookMs: number;
  readonly #ended: () => void;
  readonly #readers = new Set<Reader>();
  #timer: NodeJS.Timeout | null = null;
  #quietMs = 0;

  /** `ended`: called when the last reader is gone. */
  constructor(look: () => Look, { lookMs, ended = () => {} }: { lookMs: number; ended?: () => void }) {
    this.#look = look;
    this.#lookMs = lookMs;
    this.#ended = ended;
  }

  /** From now on a reader gets what looks find. */
  join(reader: Reader): void {
    this.#readers.add(reader);
    if (this.#timer === null) this.#wait();
  }

  /** The last one to leave ends the looking. */
  leave(reader: Reader): void {
    if (!this.#readers.delete(reader) || this.#readers.size > 0) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#ended();
  }

  /** Looks now, and tells everybody. */
  look(): void {
    const { sent, isOver } = this.#look();
    this.#quietMs = sent.length > 0 ? 0 : this.#quietMs + msBetweenLooks(this.#lookMs, this.#readers.size);
    if (sent.length > 0) this.#tell(encoded(sent));
    else if (this.#quietMs >= BEAT_MS) {
      this.#quietMs = 0;
      this.#tell(BEAT);
    }
    if (!isOver) return;
    for (const reader of [...this.#readers]) {
      this.leave(reader);
      reader.end();
    }
  }

  #wait(): void {
    this.#timer = setTimeout(
      () => {
        this.#lookOrEnd();
        if (this.#readers.size > 0) this.#wait();
      },
      msBetweenLooks(this.#lookMs, this.#readers.size),
    ).unref();
  }

  /** What fails here would end the studio; pages that lose their connection come back, and are told then. */
  #lookOrEnd(): void {
    try {
      this.look();
    } catch {
      for (const reader of [...this.#readers]) this.#letGo(reader);
    }
  }

  #tell(bytes: Uint8Array): void {
    for (const reader of [...this.#readers]) {
      if (reader.writableLength > MOST_WAITING) this.#letGo(reader);
      else reader.write(bytes);
    }
  }

  #letGo(reader: Reader): void {
    this.leave(reader);
    reader.destroy();
  }
}
