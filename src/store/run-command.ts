/**
 * @file The command that a run was started with, kept in its folder, so that the studio can go on with the run. It
 * names the folder that it belongs to; in a run that was copied from elsewhere it is not used.
 */
import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../files/atomic.ts';

const FILE = 'command.json';

const schema = z.object({
  formatVersion: z.literal(1),
  /** Words behind `selm`: only those that go on with a run. */
  words: z.tuple([z.enum(['train', 'sft'])]).rest(z.string()),
  /** Where it was started. */
  directory: z.string(),
  /** The run's folder, without links. */
  run: z.string(),
});

/** Words behind `selm`, and the folder in which they mean what they meant. */
export type RunCommand = Pick<z.output<typeof schema>, 'words' | 'directory'>;

/** Keeps the command of a run. Throws FileError. */
export function writeRunCommand(
  runPath: string,
  { words, directory }: { words: readonly string[]; directory: string },
): void {
  const kept = schema.safeParse({ formatVersion: 1, words, directory, run: realpathSync(runPath) });
  if (kept.success) writeFileAtomic(join(runPath, FILE), `${JSON.stringify(kept.data)}\n`);
}

/** The command that goes on with the run in this folder; null where none was kept, or that of another folder. */
export function readRunCommand(runPath: string): RunCommand | null {
  try {
    const kept = schema.parse(JSON.parse(readFileSync(join(runPath, FILE), 'utf8')));
    return kept.run === realpathSync(runPath) ? { words: kept.words, directory: kept.directory } : null;
  } catch {
    return null; // no command is no trouble: the page says how to go on
  }
}
