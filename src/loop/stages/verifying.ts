/**
 * @file All ranks check a directory's files: each hashes its part, and rank 0 hears of all of them. So no rank has to
 * hash a whole checkpoint again.
 */
import { FileError, SelmError } from '../../errors.ts';
import { verifyDirectory, verifyFile } from '../../files/atomic.ts';
import type { FileDigest } from '../../files/hash.ts';
import type { DirectoryManifest } from '../../files/manifest.ts';
import type { SharedWork, Team } from '../../ranks/team.ts';

/** A file that is not what its manifest says. */
interface Broken {
  code: string;
  message: string;
}

/** Checking as work on files; gives only what is broken. */
export const verifyingWork: SharedWork<{ path: string }, readonly [string, FileDigest], Broken> = {
  name: 'check files',
  async *run({ path }, files, { signal }) {
    for (const [name, expected] of files) {
      signal?.throwIfAborted();
      try {
        await verifyFile(path, name, { expected });
      } catch (error) {
        if (!(error instanceof SelmError)) throw error;
        yield { code: error.code, message: error.message };
      }
    }
  },
};

/** As `verifyDirectory`, by all ranks. Files are cut in the order of their names, so that a rank's own come to it where it wrote some. */
export function verifyTogether(
  path: string,
  { team, signal }: { team: Team; signal: AbortSignal | undefined },
): Promise<DirectoryManifest> {
  const verifyFiles = async (_: string, files: DirectoryManifest['files']): Promise<void> => {
    const byName = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
    for await (const { code, message } of team.share(verifyingWork, { path }, byName, signal))
      throw new FileError(code, message, { details: { path } });
  };
  return verifyDirectory(path, { verifyFiles });
}

/** The manifest of a directory that rank 0 has had checked: its files are not read for that again. */
export function readVerified(path: string): Promise<DirectoryManifest> {
  return verifyDirectory(path, { verifyFiles: async () => {} });
}
