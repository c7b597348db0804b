/**
 * @file A model's outputs beside the baseline's, and a judge's verdicts on them, as alpaca_eval keeps them. Instructions without an
 * output, outputs without an instruction, and verdicts that a judge did not give are named; none counts as a loss.
 */
import { DataError } from '../../errors.ts';
import { sha256 } from '../../files/hash.ts';
import type { Ranker, RankItem } from '../../rank/ranker.ts';
import { codePoints } from '../code-points.ts';
import { type ResultFile, textOf } from '../records.ts';
import type { Annotations } from './annotations.ts';

/** One instruction with both outputs. */
export interface OutputPair {
  /** The instruction's place among the baseline's. */
  index: number;
  instruction: string;
  baseline: string;
  output: string;
}

/** What was matched, and what was not. */
export interface MatchedOutputs {
  pairs: OutputPair[];
  /** Instructions without an output, by their line in the baseline's file. */
  missing: { line: number; problem: string }[];
  /** Outputs to no instruction of the baseline. */
  unknown: number;
}

/** A pair with the judge's verdict; a preference of null has a reason. */
export interface JudgedPair extends OutputPair {
  /** From 1 (the baseline is better) to 2. */
  preference: number | null;
  problem: string | null;
}

/** Instructions and outputs of a file, in order; a row without an output has null. */
export function readOutputs({ records }: ResultFile): { line: number; instruction: string; output: string | null }[] {
  return records.flatMap(({ line, value }) => {
    const instruction = textOf(value.instruction);
    return instruction === null ? [] : [{ line, instruction, output: textOf(value.output) }];
  });
}

/** The baseline's instructions and outputs, up to a limit. DataError ALPACA_EMPTY where the file has none. */
export function readBaseline(
  file: ResultFile,
  { path, limit }: { path: string; limit: number | null },
): ReturnType<typeof readOutputs> {
  const rows = readOutputs(file).slice(0, limit ?? undefined);
  if (rows.length > 0) return rows;
  throw new DataError(
    'ALPACA_EMPTY',
    `Cannot compare with ${path}: it has no instructions: its rows need instruction and output`,
    { details: { file: path } },
  );
}

/** Puts a model's outputs beside the baseline's, by instruction. */
export function matchOutputs(
  baseline: ReturnType<typeof readOutputs>,
  outputs: readonly { instruction: string; output: string | null }[],
): MatchedOutputs {
  const byInstruction = new Map(outputs.map(({ instruction, output }) => [instruction, output]));
  const pairs: OutputPair[] = [];
  const missing: MatchedOutputs['missing'] = [];
  for (const [index, { line, instruction, output: other }] of baseline.entries()) {
    const output = byInstruction.get(instruction) ?? null;
    if (output !== null && other !== null) pairs.push({ index, instruction, baseline: other, output });
    else missing.push({ line, problem: output === null ? 'the model gave no output' : 'the baseline has no output' });
  }
  const known = new Set(baseline.map(({ instruction }) => instruction));
  return { pairs, missing, unknown: [...byInstruction.keys()].filter((each) => !known.has(each)).length };
}

/** Asks a judge that compares pairs; verdicts come in the order of the pairs. What the judge throws ends it. */
export async function* judgeOutputs(pairs: readonly OutputPair[], judge: Ranker): AsyncGenerator<JudgedPair> {
  let next = 0;
  for await (const { scores, problem } of judge.rank(itemsOf(pairs))) {
    const pair = pairs[next++];
    if (pair === undefined) throw new Error('A verdict on no pair');
    // The model's score against the baseline alone is the probability that it is better.
    const score = scores?.[1];
    yield score === undefined
      ? { ...pair, preference: null, problem: problem ?? 'the judge gave no verdict' }
      : { ...pair, preference: 1 + score, problem: null };
  }
}

/** The baseline's output first: alpaca_eval's order is that of these two. */
async function* itemsOf(pairs: readonly OutputPair[]): AsyncGenerator<RankItem> {
  for (const { instruction, baseline, output } of pairs) {
    yield {
      promptId: sha256(instruction),
      prompt: { kind: 'text', text: instruction },
      candidates: [baseline, output].map((text, sampleIndex) => ({ kind: 'response', sampleIndex, text })),
    };
  }
}

/** The verdicts as annotations. */
export function annotationsOfJudged(
  judged: readonly JudgedPair[],
  { model, missing }: { model: string; missing: MatchedOutputs['missing'] },
): Annotations {
  const usable = judged.flatMap(({ index, preference, baseline, output }) =>
    preference === null
      ? []
      : [{ index, preference, lengths: { baseline: codePoints(baseline), model: codePoints(output) } }],
  );
  const refused = judged.flatMap(({ index, problem }) => (problem === null ? [] : [{ line: index + 1, problem }]));
  return { model, usable, unusable: [...missing, ...refused], displaced: 0, isBaseline: false };
}

/** The verdicts in the form of alpaca_eval's annotations.json; `index` keeps their places where some are missing. */
export function annotationRows(
  judged: readonly JudgedPair[],
  { model, baseline, annotator }: { model: string; baseline: string; annotator: string },
): Record<string, unknown>[] {
  return judged.map((pair) => ({
    index: pair.index,
    instruction: pair.instruction,
    output_1: pair.baseline,
    generator_1: baseline,
    output_2: pair.output,
    generator_2: model,
    annotator,
    preference: pair.preference,
    ...(pair.problem === null ? {} : { problem: pair.problem }),
  }));
}
