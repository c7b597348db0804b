/**
 * @file EQ-Bench v2 as lm-evaluation-harness runs it: one answer without revision, and one that cannot be read scores 0.
 * `eqbench_parsed` is EQ-Bench's own rule, which leaves such answers out. The formula: ../eq-bench/score.ts.
 */
import { questionScore, readIntensities } from '../../eq-bench/score.ts';
import type { Benchmark, Scores } from '../benchmark.ts';

/** Scores are in percent; 0 is chance. */
export const eqBench: Benchmark = {
  name: 'eq_bench',
  title: 'EQ-Bench v2',
  shots: 0,
  examples: { kind: 'none' },
  rows: { hub: 'hub:pbevan11/EQ-Bench:validation', file: /^(validation|questions_v2)/ },
  mainMetric: 'eqbench',
  readItem(row) {
    if (typeof row.prompt !== 'string') return { problem: 'it has no prompt' };
    const reference = referenceOf(row.reference_answer_fullscale);
    if (reference === null) return { problem: 'it has no reference_answer_fullscale' };
    return {
      text: withoutRevision(row.prompt),
      target: null,
      question: {
        kind: 'generation',
        stops: ['\n\n'],
        maxNewTokens: 80,
        score(answer): Scores {
          const score = questionScore(readIntensities(answer), reference, 'v2');
          if (score === null) return { eqbench: 0, percent_parseable: 0 };
          return { eqbench: 10 * score, percent_parseable: 100, eqbench_parsed: 10 * score };
        },
      },
    };
  },
};

/**
 * A prompt that asks for one answer alone, as since EQ-Bench v2.1: the first version's questions ask for a critique and revised
 * scores too.
 */
export function withoutRevision(prompt: string): string {
  const start = prompt.indexOf('Critique: <your critique here>');
  const end = prompt.indexOf('[End of answer]');
  if (start < 0 || end < start) return prompt;
  return `${prompt.slice(0, start)}\n${prompt.slice(end)}\nYour answer:\n`
    .replace(' Then critique your answer by thinking it through step by step. Finally, give your revised scores.', '')
    .replace('First pass scores:\n', '');
}

/** Four emotions with their intensities: an object, or a text of one in Python's or JSON's way of writing. */
function referenceOf(value: unknown): Map<string, number> | null {
  const fields = typeof value === 'string' ? parsed(value) : value;
  if (typeof fields !== 'object' || fields === null) return null;
  const named = fields as Record<string, unknown>;
  const entries = [1, 2, 3, 4].map((n) => [named[`emotion${n}`], Number(named[`emotion${n}_score`])] as const);
  const isWhole = entries.every(([emotion, score]) => typeof emotion === 'string' && Number.isFinite(score));
  return isWhole ? new Map(entries.map(([emotion, score]) => [String(emotion), score])) : null;
}

function parsed(text: string): unknown {
  for (const each of [text, text.replaceAll("'", '"')]) {
    try {
      return JSON.parse(each);
    } catch {
      // The other way of writing, or none.
    }
  }
  return null;
}
