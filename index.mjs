/**
 * @file Entry of the package for Node: src/index.ts, bundled as the program is (bin/program.js,
 * docs/decisions/0004-library-entry.md). Types come from `exports.types`; a test compares the names below with those of
 * src/index.ts.
 */
import { importProgram } from './bin/program.js';

const api = await importProgram('library');

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
  SamplerError,
  TensorError,
} = api;
export const { SweepError, TensorFreedError, TextError, TrackerError, TrainingError } = api;
