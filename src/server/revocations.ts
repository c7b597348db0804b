/**
 * @file Invitations that were taken back. An invitation is good by its signature alone, so what makes one bad again must be
 * kept: a log in the first folder of runs, which every start with the same token finds. Names are taken back, not links: all
 * invitations of a name, whatever their right.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { RunError } from '../errors.ts';
import { append, readLog } from '../files/durable-log.ts';
import { ANNOTATOR_NAME, type Visitor } from './token.ts';

const FILE = 'studio-revoked.jsonl';

const line = z.object({ kind: z.enum(['revoked', 'restored']), name: z.string().regex(ANNOTATOR_NAME) });

/** Parser of what an administrator asks. */
export const givenRevocation = z.strictObject({
  action: z.enum(['revoke', 'restore']),
  name: z.string().regex(ANNOTATOR_NAME, 'a name has up to 32 of a-z, 0-9 and -, and begins with a letter'),
});

/** The names whose invitations do not open the studio. */
export class Revocations {
  readonly #folder: string;
  #known: { state: string; names: ReadonlySet<string> } = { state: '', names: new Set() };

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The names; the file is read again when it changed, so that another studio's word counts here. */
  names(): ReadonlySet<string> {
    const path = join(this.#folder, FILE);
    const found = statSync(path, { throwIfNoEntry: false });
    const state = found === undefined ? '' : `${found.size} ${found.mtimeMs}`;
    if (state !== this.#known.state) {
      const names = new Set<string>();
      for (const each of readLog(path).flatMap((value) => line.safeParse(value).data ?? [])) {
        if (each.kind === 'revoked') names.add(each.name);
        else names.delete(each.name);
      }
      this.#known = { state, names };
    }
    return this.#known.names;
  }

  /** Takes the invitations of a name back, or makes them good again; durable when it returns. Throws FileError. */
  put({ action, name }: z.output<typeof givenRevocation>): void {
    if (this.names().has(name) === (action === 'revoke')) return;
    append(this.#folder, FILE, [{ kind: action === 'revoke' ? 'revoked' : 'restored', name }]);
  }

  /** Throws RunError INVITATION_REVOKED for a name whose invitations would open nothing. */
  check({ name }: Visitor): void {
    if (!this.names().has(name)) return;
    throw new RunError(
      'INVITATION_REVOKED',
      `Cannot invite ${name}: the invitations of that name were taken back: choose another name, or restore it first`,
      { details: { name } },
    );
  }
}
