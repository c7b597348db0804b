/** @file What a run measured of its models, read from its ledger by iteration; 0 is the base. */
import type { BenchmarkScores } from './benchmark-scores.ts';
import type { Evaluation } from './evaluations.ts';
import type { Ledger } from './ledger.ts';
import { type JudgedFit, type LengthControlOfModel, lengthControlledRates } from './length-control.ts';

/** Measurements on held-out prompts. */
export function evaluationsOf(ledger: Ledger): Map<number, Evaluation> {
  return new Map(ledger.records('evaluation').map(({ iteration, record }) => [iteration, record]));
}

/** Everything that the models scored: benchmarks, then AlpacaEval and MT-Bench. */
export function measuredScores(ledger: Ledger): Map<number, BenchmarkScores[]> {
  const found = new Map<number, BenchmarkScores[]>();
  const kinds = ['benchmarks', 'alpaca', 'mt-bench'] as const;
  for (const { iteration, record } of kinds.flatMap((kind) => ledger.records(kind)))
    found.set(iteration, [...(found.get(iteration) ?? []), ...record.results]);
  return new Map([...found].sort(([a], [b]) => a - b));
}

/** The fits of AlpacaEval's length control. */
export function fitsOf(ledger: Ledger): Map<number, JudgedFit> {
  return new Map(
    ledger.records('alpaca').flatMap(({ iteration, record: { lengthControl } }): [number, JudgedFit][] => {
      return lengthControl === null || 'problem' in lengthControl ? [] : [[iteration, lengthControl]];
    }),
  );
}

/**
 * The length-controlled rates of every judged model, or why there are none. A run that was judged before there were fits has
 * nothing here.
 */
export function lengthControlOf(ledger: Ledger): LengthControlOfModel[] {
  const fits = fitsOf(ledger);
  return ledger.records('alpaca').flatMap(({ iteration, record: { lengthControl } }): LengthControlOfModel[] => {
    if (lengthControl !== null && 'problem' in lengthControl) return [{ iteration, rates: lengthControl }];
    const rates = lengthControlledRates(fits, iteration);
    return rates === null ? [] : [{ iteration, rates }];
  });
}
