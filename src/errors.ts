/**
 * @file Every error that a user can meet, in one list. Each says what was being done, the value, what is allowed, and
 * the fix; each has a stable code. Errors of bad input exit with 2, failures during work with 1.
 */

/** Options that every error takes. */
export interface SelmErrorOptions {
  /** The error underneath, if any. */
  cause?: unknown;
  /** Typed facts (file, field, line, value ...), shown with `--json`. */
  details?: Record<string, unknown>;
}

/** Base of all errors of this package. Not thrown itself. */
export abstract class SelmError extends Error {
  /** Exit code of a command that ends with this error. */
  readonly exitCode: 1 | 2 = 2;
  readonly details: Record<string, unknown>;
  readonly code: string;

  constructor(code: string, message: string, options: SelmErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.name = new.target.name;
    this.details = options.details ?? {};
  }
}

/** A recipe or an option is wrong: unknown key, wrong type, impossible combination. */
export class RecipeError extends SelmError {}
/** A data file or a row of it cannot be used. */
export class DataError extends SelmError {}
/** A model directory, its config.json or its weights cannot be used. */
export class ModelError extends SelmError {}
/** A tokenizer or chat template cannot be used. */
export class TextError extends SelmError {}
/** A ranker cannot be loaded, or broke its contract. */
export class RankerError extends SelmError {}
/** A run directory is locked, of another configuration, or damaged. */
export class RunError extends SelmError {}
/** A path from outside leaves its folder, or a file could not be read or written (disk full, read-only). */
export class FileError extends SelmError {}
/** The Hugging Face Hub cannot be reached, refuses, or does not have what was asked. Never shows the token. */
export class HubError extends SelmError {}
/** A tracker's server cannot be reached or refuses. It is reported once and stops no run. Never shows a token. */
export class TrackerError extends SelmError {}
/** LibTorch or the native addon is missing, or of another version. */
export class EngineError extends SelmError {}
/** Ranks cannot work together as asked: a variable is missing, a port in use, a rank absent, or one runs something else. */
export class RanksError extends SelmError {}

/** A judge's server cannot be used now, or its budget is spent; what it answered is kept, and the run can go on. */
export class JudgeError extends SelmError {
  override readonly exitCode = 1;
}
/** A server that samples cannot be used now, or serves another model than it should; what it answered is kept, and the run can go on. */
export class SamplerError extends SelmError {
  override readonly exitCode = 1;
}
/** Training stopped before an update that would have spoiled the weights (non-finite numbers, first loss not ln 2). */
export class TrainingError extends SelmError {
  override readonly exitCode = 1;
}
/** Runs of a sweep failed; the others are finished, and the sweep can go on. */
export class SweepError extends SelmError {
  override readonly exitCode = 1;
}
/** The user asked to stop; everything finished is saved. */
export class InterruptedError extends SelmError {
  override readonly exitCode = 1;
}
/** A rank is gone or does not answer, in the middle of work; everything finished is saved. */
export class RankLostError extends SelmError {
  override readonly exitCode = 1;
}
/** An operator was called with tensors of shapes or types that it does not take. */
export class TensorError extends SelmError {
  override readonly exitCode = 1;
}
/** A tensor was used after its scope freed it. */
export class TensorFreedError extends SelmError {
  override readonly exitCode = 1;
}
/** The allocator could not give the memory asked for. */
export class OutOfMemoryError extends SelmError {
  override readonly exitCode = 1;
}

/**
 * A value of a foreign file as it may stand in a message: short, and never an error itself (deep nesting exhausts the
 * stack of JSON.stringify, which also refuses a bigint).
 */
export function shownValue(value: unknown, most = 200): string {
  let text: string;
  try {
    const plain = JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? Number(part) : part));
    text = plain ?? String(value);
  } catch {
    text = Array.isArray(value) ? 'a deeply nested list' : 'a deeply nested object';
  }
  return text.length > most ? `${text.slice(0, most - 3)}...` : text;
}
