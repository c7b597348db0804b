/** @file What a run knows of its trackers, in trackers.json of its directory: which run each of them has, and how far it is. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../files/atomic.ts';
import type { TrackerKind } from '../recipe/track.ts';

const FORMAT_VERSION = 1;

const schema = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  id: z.string(),
  generation: z.number().int().min(1),
  trackers: z.record(
    z.string(),
    z.object({
      id: z.string().optional(),
      nextStep: z.number().optional(),
      measured: z.record(z.string(), z.number()).optional(),
    }),
  ),
});

type Stored = z.output<typeof schema>;
export type TrackerState = Stored['trackers'][string];

/** The file; every change is written at once. */
export class TrackingState {
  readonly #path: string;
  #stored: Stored;

  /**
   * Reads what earlier processes knew. `anew`: steps were taken back, to be made with other settings, so that the trackers
   * begin another run. A file that cannot be read is begun again.
   */
  constructor(runPath: string, { anew = false }: { anew?: boolean } = {}) {
    this.#path = join(runPath, 'trackers.json');
    const found = read(this.#path);
    this.#stored = found ?? { formatVersion: FORMAT_VERSION, id: randomUUID(), generation: 1, trackers: {} };
    if (found === null) this.#write();
    else if (anew) {
      this.#stored = { ...found, generation: found.generation + 1, trackers: {} };
      this.#write();
    }
  }

  /** Names the run, whatever it is called and wherever it lies. */
  get id(): string {
    return this.#stored.id;
  }

  /** Counts from 1 how often the trackers began another run. */
  get generation(): number {
    return this.#stored.generation;
  }

  of(kind: TrackerKind): TrackerState {
    return this.#stored.trackers[kind] ?? {};
  }

  put(kind: TrackerKind, changed: TrackerState): void {
    this.#stored.trackers[kind] = { ...this.of(kind), ...changed };
    this.#write();
  }

  #write(): void {
    writeFileAtomic(this.#path, `${JSON.stringify(this.#stored, null, 2)}\n`);
  }
}

function read(path: string): Stored | null {
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return null; // none yet, or damaged: a tracker may then show a run twice, which is better than none
  }
}
