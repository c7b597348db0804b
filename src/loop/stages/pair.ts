/** @file The stage that pairs: best and worst of each ranking become chosen and rejected. What gave no pair is counted. */
import type { PreferenceRow } from '../../data/rows.ts';
import { RunError } from '../../errors.ts';
import { sha256 } from '../../files/hash.ts';
import { buildPair, type Pairing } from '../../rank/pairing.ts';
import type { PairRecord } from '../ledger.ts';
import { rankItems } from './rank.ts';
import type { IterationContext } from './stage.ts';

/** Name of a pair: the same run makes the same names again. */
function pairIdOf(iteration: number, promptId: string): string {
  return sha256(`${iteration}\n${promptId}`).slice(0, 16);
}

function recordOf(
  iteration: number,
  row: PreferenceRow,
  pairing: Extract<Pairing, { kind: 'pair' }>,
  rankerId: string,
): PairRecord {
  const { chosen, rejected, response } = pairing;
  return {
    pairId: pairIdOf(iteration, row.promptId),
    iteration,
    promptId: row.promptId,
    chosen: chosen.text,
    rejected: rejected.text,
    response: response?.text ?? null,
    chosenFrom: { kind: chosen.kind, sampleIndex: chosen.sampleIndex },
    rejectedFrom: { kind: rejected.kind, sampleIndex: rejected.sampleIndex },
    rankerId,
    scoreChosen: pairing.scoreChosen,
    scoreRejected: pairing.scoreRejected,
    source: row.source,
  };
}

/** The pair of the data as it is, for the warm start. */
function originalPair(row: PreferenceRow): PairRecord | null {
  const { promptId, chosen, rejected, source } = row;
  if (chosen === null || rejected === null || chosen === rejected) return null;
  return {
    pairId: pairIdOf(0, promptId),
    iteration: 0,
    promptId,
    chosen,
    rejected,
    response: null,
    chosenFrom: { kind: 'chosen', sampleIndex: null },
    rejectedFrom: { kind: 'rejected', sampleIndex: null },
    source,
  };
}

/** Writes the iteration's pairs to the ledger: from its rankings, or in iteration 0 from the data. */
export async function pairResponses(context: IterationContext, rows: readonly PreferenceRow[]): Promise<string> {
  const { recipe, ledger, iteration, watch } = context;
  const skipped = new Map<string, number>();
  const from = new Map<string, number>();
  const add = (counts: Map<string, number>, what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
  let pairs = 0;
  const put = (pair: PairRecord): void => {
    ledger.putPair(pair);
    pairs += 1;
    add(from, `${pair.chosenFrom.kind} over ${pair.rejectedFrom.kind}`);
  };
  if (iteration === 0) {
    for (const row of rows) {
      const pair = originalPair(row);
      if (pair === null) add(skipped, 'no pair in the data');
      else put(pair);
    }
  } else {
    const rankings = new Map(ledger.rankings(iteration).map((ranking) => [ranking.promptId, ranking]));
    const rowOf = new Map(rows.map((row) => [row.promptId, row]));
    for (const item of rankItems(ledger, iteration, rows)) {
      const ranking = rankings.get(item.promptId);
      const row = rowOf.get(item.promptId);
      if (ranking === undefined || row === undefined) throw new Error(`Prompt ${item.promptId} was not ranked`);
      const pairing = buildPair(
        item,
        {
          ...ranking,
          scores: copy(ranking.scores),
          order: [...ranking.order],
          ties: ranking.ties.map((tie) => [...tie]),
        },
        recipe.update,
      );
      if (pairing.kind === 'skipped') add(skipped, pairing.reason);
      else put(recordOf(iteration, row, pairing, ranking.rankerId));
    }
  }
  if (pairs === 0) {
    const reasons = [...skipped].map(([reason, count]) => `${count} ${reason}`).join(', ');
    throw new RunError(
      'NO_PAIRS',
      `Cannot train iteration ${iteration}: its ${rows.length} prompts gave no pair (${reasons}): raise sampling.temperature and sampling.samples, or look at the ranker's scores`,
      { details: { iteration, skipped: Object.fromEntries(skipped) } },
    );
  }
  ledger.putAudit(iteration, 'pairs', { pairs, from: Object.fromEntries(from), skipped: Object.fromEntries(skipped) });
  const counts = [...from].map(([what, count]) => `${count} ${what}`).join(', ');
  const left = [...skipped].map(([reason, count]) => `${count} left out: ${reason}`).join(', ');
  watch({ kind: 'note', text: `Pairs of iteration ${iteration}: ${counts}${left === '' ? '' : `; ${left}`}` });
  return `${pairs} pairs`;
}

function copy<T>(values: readonly T[] | null): T[] | null {
  return values === null ? null : [...values];
}
