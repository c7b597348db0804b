/** @file Everything that is measured of one model, in the order of its stages: held-out prompts, benchmarks, AlpacaEval, MT-Bench. */
import type { PreferenceRow } from '../../data/rows.ts';
import type { LoadedTask } from '../../evaluate/benchmarks/tasks.ts';
import type { IterationContext } from '../stages/stage.ts';
import { type AlpacaReference, judgeModel } from './alpaca.ts';
import { benchmarkModel } from './benchmarks.ts';
import { evaluateModel } from './evaluate.ts';
import { rateModel } from './mt-bench.ts';

/** What models are measured on: read and checked once, the same for all of them. */
export interface Measures {
  heldOut: readonly PreferenceRow[];
  benchmarks: readonly LoadedTask[];
  reference: AlpacaReference | null;
}

/** A model to measure. */
export interface MeasuredModel {
  modelDirectory: string;
  /** The policy of the iteration before; null for the base. */
  previousDirectory: string | null;
  /** For the report: `base`, `iteration 2`. */
  name: string;
}

/** Measures the model of the context's iteration; 0 is the one that training starts from. What is there already costs nothing. */
export async function measureModel(
  context: IterationContext,
  { heldOut, benchmarks, reference }: Measures,
  model: MeasuredModel,
): Promise<void> {
  const { modelDirectory } = model;
  await evaluateModel(context, { heldOut, ...model });
  await benchmarkModel(context, { tasks: benchmarks, modelDirectory });
  await judgeModel(context, { reference, modelDirectory });
  await rateModel(context, modelDirectory);
}
