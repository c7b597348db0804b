/**
 * @file What a run counts and measures beside its items, a record a kind and iteration. Each kind has a type and a parser:
 * what is read back was checked, also where an older version wrote it.
 */
import { z } from 'zod';
import { benchmarksSchema } from './benchmark-scores.ts';
import { bestSchema, standingSchema } from './course.ts';
import { evaluationSchema } from './evaluations.ts';
import { explorationSchema } from './exploration-measure.ts';
import { alpacaSchema } from './length-control.ts';
import { winRatesSchema } from './win-rates.ts';

/** Rows read, used and left out, as they were told; `used` is null in a run that began before it was kept. */
const dataAudit = z.object({ text: z.string(), used: z.number().nullable().default(null) });

/** Ids of the first ranker, and of the second where there is one. */
const rankers = z.object({ first: z.string(), second: z.string().nullable() });

/** Ids of the judges that measured, one for each way of asking: their budget is one. */
const measureJudges = z.object({ ids: z.array(z.string()) });

/**
 * Pairs of an iteration; `from`: by the places of their texts; `skipped`: prompts without a pair, by reason;
 * `sharedPlaces`: pairs whose best or worst place another text shared, null in a run that began before it was counted.
 */
const pairCounts = z.object({
  pairs: z.number(),
  from: z.record(z.string(), z.number()),
  skipped: z.record(z.string(), z.number()),
  sharedPlaces: z.number().nullable().default(null),
});

/**
 * What the ranker is asked about under a budget, in that order. `answers`: indices of the candidates; null: all of them. `labels`:
 * comparisons that it takes at most. `isDrawn`: nothing but chance chose it. `passed`: prompts that are not asked about. `rounds`: how
 * many of select.rounds have been chosen.
 */
const selection = z.object({
  asked: z.array(
    z.object({
      promptId: z.string(),
      answers: z.array(z.number()).nullable(),
      labels: z.number(),
      isDrawn: z.boolean(),
      reason: z.string(),
    }),
  ),
  passed: z.number(),
  rounds: z.number().default(1),
});

/** How far the other ranker's odds were trusted in an iteration's soft labels (src/select/calibration.ts). */
const calibration = z.object({ slope: z.number(), deviation: z.number(), comparisons: z.number() });

/** What servers that sample were found to serve, by log-probabilities on both sides (src/sample/server/probe.ts). */
const samplerProbes = z.object({
  probes: z.array(
    z.object({
      url: z.string(),
      sha256: z.string(),
      sequences: z.string(),
      own: z.array(z.number()),
      server: z.array(z.number()),
    }),
  ),
});

const SCHEMAS = {
  'data-audit': dataAudit,
  rankers,
  'measure-judges': measureJudges,
  'pair-counts': pairCounts,
  selection,
  calibration,
  'sampler-probes': samplerProbes,
  exploration: explorationSchema,
  evaluation: evaluationSchema,
  benchmarks: benchmarksSchema,
  alpaca: alpacaSchema,
  'mt-bench': benchmarksSchema,
  'win-rates': winRatesSchema,
  best: bestSchema,
  standing: standingSchema,
} as const;

/** Kinds of records. */
export type RecordKind = keyof typeof SCHEMAS;
/** What a record of a kind holds. */
export type RecordOf<Kind extends RecordKind> = z.output<(typeof SCHEMAS)[Kind]>;
/** Ids of a run's rankers. */
export type RankerIds = RecordOf<'rankers'>;

/** A record as text for the ledger. Not-a-number becomes null, which the parser of its kind knows. */
export function recordText<Kind extends RecordKind>(_kind: Kind, record: RecordOf<Kind>): string {
  return JSON.stringify(record);
}

/** The record that a text of the ledger holds. Throws ZodError or SyntaxError for one that this program did not write. */
export function parseRecord<Kind extends RecordKind>(kind: Kind, text: string): RecordOf<Kind> {
  // The schema of a kind gives that kind's type; the compiler cannot follow an index by a type parameter.
  return SCHEMAS[kind].parse(JSON.parse(text)) as RecordOf<Kind>;
}
