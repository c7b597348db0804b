/**
 * @file Published results that may not lie in this repository (licence, size): `$SELM_EVALUATION_DATA` names a folder that holds
 * `alpaca_eval/`, `mt_bench/`, `eq_bench/` and the benchmarks' items. Tests on them are left out where it is not set.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** A path below that folder. */
export function evaluationData(...path: string[]): string {
  return join(process.env.SELM_EVALUATION_DATA ?? '/nonexistent', ...path);
}

/** Whether it is there. */
export function hasEvaluationData(...path: string[]): boolean {
  return existsSync(evaluationData(...path));
}
