/** @file A ranker that is a model, asked by all ranks: its verdict on an item is the same whoever gives it. */
import type { SharedWork, Team } from '../../ranks/team.ts';
import type { RankerSettings } from '../../recipe/schema.ts';
import { rankerModel } from '../open.ts';
import type { Ranker, RankItem, Ranking } from '../ranker.ts';

/** An item or a verdict, with the item's place among all. */
interface Placed<Value> {
  index: number;
  value: Value;
}

/** A ranker that is open here for some work, and what to do with it afterwards. */
type Opened = Pick<Ranker, 'rank' | 'close'>;

/** Name of the work of a recipe's ranker that is a model. */
export const RANK_BY_MODEL = 'rank';

/** Ranking as work on items; `open` gives the ranker of some settings. */
export function rankingWork<Settings>(
  name: string,
  open: (settings: Settings) => Promise<Opened>,
): SharedWork<Settings, Placed<RankItem>, Placed<Ranking>> {
  return {
    name,
    async *run(settings, items, { signal }) {
      if (items.length === 0) return;
      const ranker = await open(settings);
      const stream = async function* (): AsyncGenerator<RankItem> {
        for (const { value } of items) yield value;
      };
      try {
        let done = 0;
        for await (const value of ranker.rank(stream())) {
          yield { index: items[done]?.index ?? Number.NaN, value };
          done += 1;
          signal?.throwIfAborted();
        }
      } finally {
        await ranker.close();
      }
    },
  };
}

/** By what another rank opens the ranker of a recipe. */
export interface RankerPlace {
  settings: RankerSettings;
  device: string;
}

/** A recipe's ranker as all ranks together are it; as it is where it is no model: rank 0 alone asks functions, judges and people. */
export function rankTogether(
  ranker: Ranker,
  { team, signal, ...place }: RankerPlace & { team: Team; signal: AbortSignal | undefined },
): Ranker {
  if (rankerModel(place.settings) === null) return ranker;
  return shareRanker(ranker, { name: RANK_BY_MODEL, settings: place, team, signal });
}

/** An open ranker with the help of the other ranks, which open it by its settings under the name of some `rankingWork`. */
export function shareRanker<Settings>(
  ranker: Ranker,
  { name, settings, team, signal }: { name: string; settings: Settings; team: Team; signal: AbortSignal | undefined },
): Ranker {
  if (team.group.size === 1) return ranker;
  const here: Opened = { rank: (items) => ranker.rank(items), close: async () => {} };
  const work = rankingWork<Settings>(name, async () => here);
  return {
    ...ranker,
    async *rank(items) {
      const placed: Placed<RankItem>[] = [];
      for await (const value of items) placed.push({ index: placed.length, value });
      const waiting = new Map<number, Ranking>();
      let next = 0;
      for await (const { index, value } of team.share(work, settings, placed, signal)) {
        waiting.set(index, value);
        for (let ready = waiting.get(next); ready !== undefined; ready = waiting.get(next)) {
          waiting.delete(next);
          next += 1;
          yield ready;
        }
      }
    },
  };
}
