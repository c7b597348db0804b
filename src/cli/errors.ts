/**
 * @file What a user sees when a command fails, and its exit code: 0 done, 1 failed during work, 2 wrong use or input,
 * 130 or 143 stopped by a signal with everything saved (train.ts).
 */
import { CommanderError } from 'commander';
import { SelmError } from '../errors.ts';
import { type Colours, PLAIN } from './colour.ts';

/** A wrong use of a command that commander cannot see, such as two options that exclude each other. */
export class UsageError extends SelmError {
  constructor(message: string) {
    super('USAGE', message);
  }
}

/** Exit code of the program when a command ended with `error`. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // help and version end with exit code 0
  return error instanceof SelmError ? error.exitCode : 1;
}

/** What is said about an error: its text and code, or one line of JSON; the stack only of errors that are our mistake. */
export function describeError(error: unknown, format: 'text' | 'json', colours: Colours = PLAIN): string | null {
  if (error instanceof CommanderError) {
    // Help and version are no errors, and commander wrote the text of the others itself.
    return format === 'json' && error.exitCode !== 0 ? jsonError('USAGE', error.message.replace(/^error: /, '')) : null;
  }
  if (error instanceof SelmError) {
    if (format === 'json') return jsonError(error.code, error.message, error.details);
    return `${colours.error('error:')} ${error.message}\n(${error.code})`;
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (format === 'json') return jsonError('INTERNAL', String(error), { stack });
  return `${colours.error('error:')} selm met a case that it does not know; please report it with these lines:\n${stack}`;
}

function jsonError(code: string, message: string, details: Record<string, unknown> = {}): string {
  return JSON.stringify({ error: { code, message, details } });
}
