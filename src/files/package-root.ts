/** @file Where this package lies, for the files that it carries: recipes, prompts, native sources, examples. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of this package (the folder with package.json). */
export const packageRoot: string = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
