/**
 * @file The library: `import { train, fineTune, generate, rank, loadModel } from 'selm'`. Everything else of this package may change
 * without notice. docs/api.md is made from this file.
 */
export { generate, type LoadedModel, type LoadOptions, loadModel } from './api/model.ts';
export { type RankOptions, type RankRow, rank } from './api/rank.ts';
export { fineTune, type Training, type TrainOptions, train } from './api/train.ts';
export {
  DataError,
  EngineError,
  FileError,
  HubError,
  InterruptedError,
  JudgeError,
  ModelError,
  OutOfMemoryError,
  RankerError,
  RankLostError,
  RanksError,
  RecipeError,
  RunError,
  SamplerError,
  SelmError,
  SweepError,
  TensorError,
  TensorFreedError,
  TextError,
  TrackerError,
  TrainingError,
} from './errors.ts';
export type { RunOutcome } from './loop/run.ts';
export type { SftOutcome } from './loop/sft.ts';
export type { Judgement, Ranking } from './rank/ranker.ts';
export { type RecipeInput, recipeJsonSchema } from './recipe/schema.ts';
export { type SftRecipeInput, sftRecipeJsonSchema } from './recipe/sft.ts';
export { type SweepInput, sweepJsonSchema } from './recipe/sweep.ts';
export type { Response, SamplingOptions } from './sample/respond.ts';
export type { EventSource, LoopEvent, Notice, StageName } from './store/events.ts';
export type { Prompt } from './text/conversation.ts';
export type { Message } from './text/template.ts';
