/**
 * @file Reads what `selm eval ... --json` wrote about a model (AlpacaEval, MT-Bench, or benchmarks) into a comparison.
 * The user says which model it is, because the file knows a name at most.
 */
import { z } from 'zod';
import { DataError } from '../../errors.ts';

/** Results of one model; each is null where its file is another's. */
export interface ModelResults {
  /** Percent; the length-controlled rate is null where it could not be computed. */
  alpaca: {
    winRate: number;
    error: number;
    lengthControlled: number | null;
    lengthControlledError: number | null;
    count: number;
    length: number | null;
  } | null;
  /** Scores from 1 to 10. */
  mtBench: { turn1: number | null; turn2: number | null; average: number; rows: number; unparsed: number } | null;
  benchmarks: {
    benchmark: string;
    title: string;
    shots: number;
    metric: string;
    value: number;
    low: number;
    high: number;
    count: number;
  }[];
}

/** Results that the user says are of a model of the comparison. */
export interface PlacedResults extends ModelResults {
  /** Name of the arm; null for the base. */
  arm: string | null;
  iteration: number;
}

const alpacaSchema = z.object({
  win_rate: z.number(),
  standard_error: z.number(),
  n_total: z.number(),
  length_controlled_winrate: z.number().nullable(),
  lc_standard_error: z.number().nullable(),
  avg_length: z.number().nullable(),
});
const mtBenchSchema = z.object({
  turn1: z.number().nullable(),
  turn2: z.number().nullable(),
  average: z.number(),
  rows: z.number(),
  unparsed: z.number(),
});
const benchmarksSchema = z.object({
  benchmarks: z.record(
    z.string(),
    z.object({
      title: z.string(),
      shots: z.number(),
      main_metric: z.string(),
      metrics: z.record(z.string(), z.object({ value: z.number(), low: z.number(), high: z.number(), n: z.number() })),
    }),
  ),
});

/** Reads the value of a results file of one model. Throws DataError RESULTS_UNKNOWN. */
export function readModelResults(value: unknown, file: string): ModelResults {
  const [alpaca, mtBench, evaluated] = [
    alpacaSchema.safeParse(value).data,
    mtBenchSchema.safeParse(value).data,
    benchmarksSchema.safeParse(value).data,
  ];
  if (alpaca === undefined && mtBench === undefined && evaluated === undefined) {
    throw new DataError(
      'RESULTS_UNKNOWN',
      `Cannot use the results in "${file}": it has no results of one model: give what \`selm eval MODEL --on ... --json\`, \`selm eval alpaca --json\` or \`selm eval mt-bench --json\` printed for one model`,
      { details: { file } },
    );
  }
  return {
    alpaca:
      alpaca === undefined
        ? null
        : {
            winRate: alpaca.win_rate,
            error: alpaca.standard_error,
            lengthControlled: alpaca.length_controlled_winrate,
            lengthControlledError: alpaca.lc_standard_error,
            count: alpaca.n_total,
            length: alpaca.avg_length,
          },
    mtBench: mtBench ?? null,
    benchmarks: Object.entries(evaluated?.benchmarks ?? {}).flatMap(
      ([benchmark, { title, shots, main_metric: metric, metrics }]) => {
        const found = metrics[metric];
        if (found === undefined) return [];
        const { n: count, ...interval } = found;
        return [{ benchmark, title, shots, metric, ...interval, count }];
      },
    ),
  };
}
