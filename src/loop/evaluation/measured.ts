/**
 * @file Decides whether a model is measured again: not if that was done with the same settings, and not if the model is
 * gone.
 */
import { isModelThere } from '../lost-models.ts';
import type { IterationContext } from '../stages/stage.ts';

/** The measures whose records say with which settings they were made, and their stages. */
const STAGES = { benchmarks: 'benchmark', alpaca: 'alpaca', 'mt-bench': 'mt-bench' } as const;

/** A measure of an iteration's model. */
export interface Measure {
  kind: keyof typeof STAGES;
  /** What its numbers depend on, beside the model. */
  settings: string;
  modelDirectory: string;
  /** What does not happen where the model is gone: `its outputs are not judged`. */
  leftOut: string;
}

/**
 * Whether the measure's stage can run: at no cost where it was finished with the same settings; otherwise what was measured before is
 * taken back. A model that was deleted since it was trained is left out with a warning.
 */
export function canMeasure(
  { ledger, iteration, announce }: IterationContext,
  { kind, settings, modelDirectory, leftOut }: Measure,
): boolean {
  if (ledger.record(iteration, kind)?.settings === settings) return true;
  if (iteration > 0 && !isModelThere(modelDirectory)) {
    const text = `The model of iteration ${iteration} is gone from ${modelDirectory}: ${leftOut}`;
    announce({ kind: 'warning', text });
    return false;
  }
  ledger.takeBack(iteration, { stages: [STAGES[kind]], tables: [] });
  return true;
}
