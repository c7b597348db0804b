/** @file The benchmarks by name: one file each beside this one. What runs them is in the folder above. */

import type { Benchmark } from '../benchmark.ts';
import { arcChallenge } from './arc.ts';
import { eqBench } from './eq-bench.ts';
import { gsm8k, gsm8kCot } from './gsm8k.ts';
import { hellaswag } from './hellaswag.ts';
import { ifeval } from './ifeval/ifeval.ts';
import { mmlu } from './mmlu.ts';
import { openBookQa } from './openbookqa.ts';
import { truthfulQaMc1, truthfulQaMc2 } from './truthfulqa.ts';

/** Those of the SELM paper's Table 2 in its order, and others. */
export const BENCHMARKS: readonly Benchmark[] = [
  gsm8kCot,
  gsm8k,
  hellaswag,
  arcChallenge,
  truthfulQaMc2,
  truthfulQaMc1,
  eqBench,
  openBookQa,
  mmlu,
  ifeval,
];

/** A benchmark by its name, or undefined. */
export function benchmarkNamed(name: string): Benchmark | undefined {
  return BENCHMARKS.find((benchmark) => benchmark.name === name);
}
