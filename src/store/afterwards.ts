/**
 * @file What people's labels changed: for the prompts that they answered about, the policy's answers before and after the training on
 * them, and the implicit margin of the pair that came of them. `selm afterwards` measures it; a file an iteration, in the run's folder.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { RunError } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { errorCode, fileError } from '../files/fs.ts';

const schema = z.object({
  formatVersion: z.literal(1),
  iteration: z.number(),
  beta: z.number(),
  prompts: z.array(
    z.object({
      promptId: z.string(),
      /** As a person reads it. */
      prompt: z.string(),
      chosen: z.string(),
      rejected: z.string(),
      /** beta times the log-ratio to the initial model, chosen less rejected, under the policy before and after. */
      marginBefore: z.number(),
      marginAfter: z.number(),
      /** Samples of the policy before and after, by sample index, drawn with the same random numbers. */
      before: z.array(z.string()),
      after: z.array(z.string()),
    }),
  ),
});

/** One iteration's. */
export type Afterwards = z.output<typeof schema>;

/** Keeps what was measured of an iteration. Throws FileError. */
export function writeAfterwards(runPath: string, measured: Omit<Afterwards, 'formatVersion'>): void {
  const path = join(runPath, 'people', `afterwards-${measured.iteration}.json`);
  writeFileAtomic(path, `${JSON.stringify({ formatVersion: 1, ...measured } satisfies Afterwards)}\n`);
}

/** What was measured, by iteration. Throws RunError AFTERWARDS_DAMAGED. */
export function readAfterwards(runPath: string): Afterwards[] {
  const folder = join(runPath, 'people');
  const found = namesIn(folder).map((name) => {
    try {
      return schema.parse(JSON.parse(readFileSync(join(folder, name), 'utf8')));
    } catch {
      throw new RunError(
        'AFTERWARDS_DAMAGED',
        `Cannot read "${join(folder, name)}": it is not what this selm writes: delete it, and run \`selm afterwards\` again`,
      );
    }
  });
  return found.sort((a, b) => a.iteration - b.iteration);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^afterwards-\d+\.json$/.test(name));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw fileError(error, { action: 'list', path: folder });
  }
}
