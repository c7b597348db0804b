/** @file What rankers that are models share: items one after another, signals heard between them, freed when closed. */
import type { Ranker, RankItem, Ranking } from '../ranker.ts';

/** A ranker over a model that is open; `dispose` frees it. */
export function modelRanker({
  rankOne,
  dispose,
  ...identity
}: Pick<Ranker, 'id' | 'gives'> & { rankOne: (item: RankItem) => Ranking; dispose: () => void }): Ranker {
  return {
    ...identity,
    async *rank(items) {
      for await (const item of items) {
        yield rankOne(item);
        await new Promise<void>((resolve) => setImmediate(resolve)); // signals are heard between items
      }
    },
    textHealth: async () => null,
    close: async () => dispose(),
  };
}
