/** @file A dry run: everything that a recipe will do and roughly cost, before anything is sampled or written. */
import type { Recipe } from '../recipe/schema.ts';
import { type MemoryForecast, memoryOf, parameterCount } from './cost.ts';
import { factsKey, factsOf, type RecipeFacts } from './facts.ts';
import { type IterationPlan, planOf } from './plan.ts';
import type { TrialFacts } from './rates.ts';
import { type TimeForecast, timeOf, type WorkRates } from './time.ts';

export interface Forecast {
  facts: Omit<RecipeFacts, 'config'>;
  iterations: IterationPlan[];
  /** Null where the model is not known. */
  cost:
    | ({
        parameters: number;
        memory: MemoryForecast;
        rates: WorkRates;
      } & TimeForecast)
    | null;
}

/**
 * The forecast of a recipe on some ranks. `rates` measures this machine at such work, and is asked only where the model is known. `known` keeps the
 * facts of recipes, so that the data of a sweep are read once and not for each arm.
 */
export async function forecast(
  recipe: Recipe,
  options: {
    rows: number | null;
    ranks?: number;
    /** Memory of the card that the recipe names, where it is here. @default null */
    cardBytes?: number | null;
    rates: (facts: TrialFacts) => Promise<WorkRates>;
    known?: Map<string, RecipeFacts>;
  },
): Promise<Forecast> {
  const key = `${options.rows} ${factsKey(recipe)}`;
  const found = options.known?.get(key) ?? (await factsOf(recipe, options));
  options.known?.set(key, found);
  const { config, ...facts } = found;
  const iterations = planOf(recipe, facts);
  if (config === null) return { facts, iterations, cost: null };
  const sampled = Math.max(
    (facts.heldOut ?? 0) * recipe.evaluate.samples,
    ...iterations.map(({ responses }) => responses),
  );
  const together = Math.max(1, Math.min(recipe.sampling.batchSize, sampled));
  const rates = await options.rates({ config, tokens: facts.tokens, together });
  return {
    facts,
    iterations,
    cost: {
      parameters: parameterCount(config),
      memory: memoryOf(recipe, {
        config,
        tokens: facts.tokens,
        ranks: options.ranks,
        cardBytes: options.cardBytes ?? null,
      }),
      ...timeOf(recipe, { config, ...facts, rates }, iterations),
      rates,
    },
  };
}
