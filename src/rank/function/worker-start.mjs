/**
 * @file First line of the worker thread, in plain JavaScript because Node runs it without help: whatever loader the
 * parent was started with, the rest (worker.ts and the user's module) is loaded by tsx.
 */
import { register } from 'node:module';
import { tsImport } from 'tsx/esm/api';

register('./module-format.mjs', import.meta.url);
await tsImport('./worker.ts', import.meta.url);
