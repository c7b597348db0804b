/** @file The result of one check of `selm doctor`. */

/** How one thing is. */
export type CheckStatus = 'ok' | 'warning' | 'problem';

/** One line of the report. */
export interface Check {
  name: string;
  status: CheckStatus;
  /** What was found. */
  detail: string;
  /** What to do, when something is to be done. */
  fix: string | null;
}
