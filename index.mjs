/**
 * @file Entry of the package for Node: loads src/index.ts through tsx, in a namespace of its own, so that the program that
 * imports it is loaded as it always is (docs/decisions/0004-library-entry.md). Types come from `exports.types`; a test
 * compares the names below with those of src/index.ts.
 */
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';

const api = await tsImport('./src/index.ts', {
  parentURL: import.meta.url,
  tsconfig: fileURLToPath(new URL('./tsconfig.json', import.meta.url)),
});

export const { train, fineTune, generate, rank, loadModel, recipeJsonSchema, sftRecipeJsonSchema } = api;
export const { sweepJsonSchema } = api;
export const { SelmError, DataError, EngineError, FileError, HubError, InterruptedError, JudgeError } = api;
export const {
  ModelError,
  OutOfMemoryError,
  RankerError,
  RankLostError,
  RanksError,
  RecipeError,
  RunError,
  TensorError,
} = api;
export const { SweepError, TensorFreedError, TextError, TrainingError } = api;
