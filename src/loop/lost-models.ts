/**
 * @file Finds finished models of a run that are gone (deleted by mistake, or to free space) and that the run needs to
 * continue. The ledger holds what they were trained on, so they are trained again, to the same bytes.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MANIFEST_NAME } from '../files/manifest.ts';

/** What is known about one model of a run, in order: the warm start's if there is one, then one an iteration. */
export interface ModelState {
  iteration: number;
  /** Whether its training is finished. */
  trained: boolean;
  /**
   * Whether its training, its measurement on held-out prompts and that of exploration are finished. These need the model before
   * it too; benchmarks and judges look at its own model alone, so they call for no other.
   */
  finished: boolean;
  /** Whether it is on disk. */
  present: boolean;
}

/**
 * Iterations to train again. The last model is the result and always needed; another one as long as the iteration after it
 * has work left (or must itself be trained again), and the first of all while it is the reference of any that has.
 */
export function lostModels(models: readonly ModelState[], reference: 'previous' | 'initial'): Set<number> {
  const lost = new Set<number>();
  const hasWork = ({ iteration, finished }: ModelState): boolean => !finished || lost.has(iteration);
  for (let i = models.length - 1; i >= 0; i--) {
    const model = models[i];
    if (model === undefined) continue;
    const later = models.slice(i + 1);
    const next = later[0];
    const isReference = reference === 'initial' && i === 0 && later.some(hasWork);
    const needed = next === undefined || hasWork(next) || isReference;
    if (needed && model.trained && !model.present) lost.add(model.iteration);
  }
  return lost;
}

/** Whether a model directory was written to its end. */
export function isModelThere(directory: string): boolean {
  return existsSync(join(directory, MANIFEST_NAME));
}
