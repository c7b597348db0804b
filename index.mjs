/**
 * @file Entry of the package for Node: loads src/index.ts through tsx, in a namespace of its own, so that the program that
 * imports it is loaded as it always is (docs/decisions/0004-library-entry.md). Types come from `exports.types`.
 */
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';

const api = await tsImport('./src/index.ts', {
  parentURL: import.meta.url,
  tsconfig: fileURLToPath(new URL('./tsconfig.json', import.meta.url)),
});

export const { train, generate, rank, loadModel } = api;
export const { SelmError, DataError, EngineError, FileError, InterruptedError, ModelError } = api;
export const { OutOfMemoryError, RankerError, RecipeError, RunError, TextError, TrainingError } = api;
