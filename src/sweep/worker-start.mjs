/**
 * @file First line of the process of one run, in plain JavaScript because Node runs it without help: the rest (worker.ts)
 * is loaded by tsx, with our own compiler settings.
 */
import { fileURLToPath } from 'node:url';
import { register } from 'tsx/esm/api';

register({ tsconfig: fileURLToPath(new URL('../../tsconfig.json', import.meta.url)) });
await import('./worker.ts');
