/**
 * @file The score of a result file of EQ-Bench, as its own program writes it (`iterations`, each with answers by
 * question). Questions without a readable answer are named. They do not count as wrong here; in lm-evaluation-harness
 * they do.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { DataError } from '../../errors.ts';
import { type EqBenchVersion, type Intensities, questionScore, readIntensities } from './score.ts';

/** Scores are in percent. */
export interface EqBenchResult {
  /** Over the parsed questions; the revised answers where they count, else the first ones. NaN where none is parsed. */
  score: number;
  /** Questions behind it, over all iterations. */
  parsed: number;
  /** Questions of the benchmark, times iterations. */
  questions: number;
  /** Names of the questions without a readable answer. */
  unparsed: string[];
  /** As lm-evaluation-harness counts: unparsed questions score 0. */
  score_with_unparsed_as_zero: number;
  first_pass: EqBenchPass;
  /** Null where no answer was revised. */
  revised: EqBenchPass | null;
  version: EqBenchVersion;
  warnings: string[];
}

export interface EqBenchPass {
  score: number;
  parsed: number;
}

/** Share of parsed questions below which EQ-Bench calls a run failed. */
const LEAST_PARSED = 5 / 6;
/** Share of the first answers that revised ones must reach to count. */
const LEAST_REVISED = 0.95;

const answers = z.record(z.string(), z.union([z.number(), z.string()]));
const resultFile = z.object({
  eqbench_version: z.string().optional(),
  iterations: z.record(
    z.string(),
    z.object({
      respondent_answers: z
        .record(z.string(), z.object({ first_pass: answers.optional(), revised: answers.optional() }))
        .optional(),
      raw_inference: z.record(z.string(), z.string()).optional(),
    }),
  ),
});
const referenceFile = z.object({
  v1: z.record(z.string(), z.record(z.string(), z.number())),
  v2: z.record(z.string(), z.record(z.string(), z.number())),
});

/** The authors' intensities by question; they come with the package. */
export function eqBenchReferences(version: EqBenchVersion): Map<string, Intensities> {
  const text = readFileSync(new URL('../../../assets/eq_bench/references.json', import.meta.url), 'utf8');
  const references = referenceFile.parse(JSON.parse(text))[version];
  return new Map(Object.entries(references).map(([id, each]) => [id, new Map(Object.entries(each))]));
}

/** The score of a result file. DataError EQ_BENCH_FILE where it is none. */
export function eqBenchResult(value: unknown, file: string): EqBenchResult {
  const parsedFile = resultFile.safeParse(value);
  if (!parsedFile.success || Object.keys(parsedFile.data.iterations).length === 0) {
    throw new DataError(
      'EQ_BENCH_FILE',
      `Cannot use ${file} as a result of EQ-Bench: it needs "iterations" with "respondent_answers" or "raw_inference", as EQ-Bench's own program writes them`,
      { details: { file } },
    );
  }
  const { eqbench_version, iterations } = parsedFile.data;
  const version = versionOf(eqbench_version, file);
  const references = eqBenchReferences(version);
  const answered = Object.values(iterations).flatMap((iteration) =>
    [...references].map(([id, reference]) => {
      const { first, revised } = answersTo(id, iteration);
      return {
        id,
        first: questionScore(first, reference, version),
        revised: questionScore(revised, reference, version),
      };
    }),
  );
  const firstPass = passOf(answered.map(({ first }) => first));
  const revisedPass = passOf(answered.map(({ revised }) => revised));
  const counts = revisedPass.score >= firstPass.score && revisedPass.parsed >= LEAST_REVISED * firstPass.parsed;
  const chosen = counts ? revisedPass : firstPass;
  const unparsed = answered.filter((each) => (counts ? each.revised : each.first) === null).map(({ id }) => id);
  const questions = answered.length;
  const warnings: string[] = [];
  if (unparsed.length > 0)
    warnings.push(`${unparsed.length} of ${questions} questions have no readable answer and are left out`);
  if (chosen.parsed < LEAST_PARSED * questions)
    warnings.push('so few answers could be read that EQ-Bench calls the run failed');
  return {
    score: chosen.score,
    parsed: chosen.parsed,
    questions,
    unparsed,
    score_with_unparsed_as_zero: (chosen.score * chosen.parsed) / questions || 0,
    first_pass: firstPass,
    revised: revisedPass.parsed === 0 ? null : revisedPass,
    version,
    warnings,
  };
}

function versionOf(text: string | undefined, file: string): EqBenchVersion {
  if (text === undefined || text === 'v2' || text.startsWith('v2.')) return 'v2';
  if (text === 'v1' || text.startsWith('v1.')) return 'v1';
  throw new DataError('EQ_BENCH_FILE', `Cannot use ${file}: its eqbench_version is "${text}": known are v1 and v2`, {
    details: { file, version: text },
  });
}

type Iteration = z.output<typeof resultFile>['iterations'][string];

/** What was parsed when the answers were given, else what stands in them. */
function answersTo(
  id: string,
  { respondent_answers, raw_inference }: Iteration,
): { first: Intensities; revised: Intensities } {
  const kept = respondent_answers?.[id];
  if (kept !== undefined) return { first: intensities(kept.first_pass), revised: intensities(kept.revised) };
  const [first = '', revised = ''] = (raw_inference?.[id] ?? '').split('Revised scores:');
  return { first: readIntensities(first.split('Critique:')[0] ?? ''), revised: readIntensities(revised) };
}

function intensities(kept: Record<string, number | string> = {}): Intensities {
  return new Map(Object.entries(kept).map(([emotion, value]) => [emotion, Number(value)]));
}

function passOf(scores: readonly (number | null)[]): EqBenchPass {
  const parsed = scores.filter((score) => score !== null);
  return { score: (10 * parsed.reduce((sum, score) => sum + score, 0)) / parsed.length, parsed: parsed.length };
}
