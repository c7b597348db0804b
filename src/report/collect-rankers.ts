/** @file Collects the part of a report about its rankers from the ledger: raw counts, statistics are the report's. */
import { bothOrders } from '../rank/doubt.ts';
import { describeRanker } from '../rank/open.ts';
import type { Recipe } from '../recipe/schema.ts';
import { secondRankerOf } from '../recipe/second-ranker.ts';
import type { Ledger } from '../store/ledger.ts';
import { opinionTables, rankersOf } from '../store/opinions.ts';
import type { OpinionReport, RankerReport } from './report-data.ts';

/** Everything about the rankers, over all iterations; null where there is one that says nothing of itself. */
export function opinionsOf(recipe: Recipe, ledger: Ledger): OpinionReport | null {
  // Iterations that had other rankers (they were changed on the way) are left out: the recipe names only those of now.
  const ids = ledger.record(0, 'rankers');
  if (ids === null) return null;
  const iterations = Array.from({ length: recipe.iterations }, (_, i) => i + 1).filter(
    (iteration) => rankersOf(ledger, iteration)?.first === ids.first,
  );
  const tables = iterations.map((iteration) => opinionTables(recipe, ledger, iteration));
  const settings = secondRankerOf(recipe);
  const second =
    settings === null || ids.second === null
      ? []
      : [rankerReport(ledger, { id: ids.second, name: describeRanker(settings), iterations })];
  const rankers = [rankerReport(ledger, { id: ids.first, name: describeRanker(recipe.ranker), iterations }), ...second];
  if (second.length === 0 && rankers.every(({ orders, calls }) => orders.length === 0 && calls === 0)) return null;
  return {
    rankers,
    drawn: tables.flatMap(({ drawn }) => drawn),
    doubt: tables.flatMap(({ doubt }) => doubt),
  };
}

function rankerReport(
  ledger: Ledger,
  { id, name, iterations }: { id: string; name: string; iterations: readonly number[] },
): RankerReport {
  const own = iterations.flatMap((iteration) => ledger.rankings(iteration).filter(({ rankerId }) => rankerId === id));
  const orders = own.flatMap(({ judgements = [] }) => {
    const both = bothOrders(judgements);
    return both.length === 0 ? [] : [{ count: both.filter(({ consistent }) => consistent).length, of: both.length }];
  });
  const problems = own.filter(({ problem }) => problem !== undefined).length;
  return { name, prompts: own.length, problems, orders, ...ledger.answers.spent(id) };
}
