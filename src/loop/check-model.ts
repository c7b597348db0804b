/** @file Checks that a recipe's model can be run, and trained as the recipe asks, before a run directory exists. */

import { checkSameSettings, targetShapes } from '../model/adapter/lora.ts';
import { withModel } from '../model/load.ts';
import type { SftRecipe } from '../recipe/sft.ts';

/** Opens the model, and sees whether the adapter that the recipe asks for fits it. Throws ModelError or RecipeError. */
export function checkModel({
  model,
  training: { adapter },
}: Pick<SftRecipe, 'model'> & { training: Pick<SftRecipe['training'], 'adapter'> }): void {
  withModel(model, ({ config, adapter: own }) => {
    if (adapter.kind === 'none') return;
    targetShapes(config, adapter.targets);
    if (own !== null) checkSameSettings(own, { config, settings: adapter });
  });
}
