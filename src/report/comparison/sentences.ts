/** @file What a comparison says in words: a sentence for each arm against the baseline, in reward and on benchmarks, with n, and no winner of too few prompts or items. Pure. */
import { FEWEST_PROMPTS } from '../../evaluate/statistics.ts';
import { fixed, signedInterval } from '../findings.ts';
import type { ArmComparison, BenchmarkComparison, PairedDifference } from './differences.ts';

/** One sentence. `count` is the number of comparisons that p-values are corrected for. */
export function comparisonSentence(comparison: ArmComparison, count: number): string {
  const { label, baselineLabel, difference, bySeed, side } = comparison;
  const numbers = `difference in mean reward ${signedInterval(difference)}, paired by ${promptText(difference.count)}${seedText(comparison)}`;
  const p = `p ${pText(comparison.pCorrected).replace(/^(?=\d)/, '= ')}${count > 1 ? ` corrected for ${count} comparisons` : ''}`;
  const [isBetter, isWorse] =
    bySeed.length > 1
      ? [`${label} beat ${baselineLabel}`, `${label} lost to ${baselineLabel}`]
      : [
          `The model of ${label} is better than that of ${baselineLabel}`,
          `The model of ${label} is worse than that of ${baselineLabel}`,
        ];
  const once = bySeed.length > 1 ? '' : ' One seed says nothing of others.';
  switch (side) {
    case 'above':
      return `${isBetter}: ${numbers}; ${p}.${once}`;
    case 'below':
      return `${isWorse}: ${numbers}; ${p}.${once}`;
    case 'undecided':
      return `No winner between ${label} and ${baselineLabel}: ${numbers}; ${p}.`;
    case 'too few':
      return `Too few prompts to say whether ${label} is better than ${baselineLabel}: ${promptText(difference.count)}, and ${FEWEST_PROMPTS} are needed; difference in mean reward ${signedInterval(difference)}.`;
  }
}

function promptText(count: number): string {
  return count === 1 ? '1 prompt' : `${count} prompts`;
}

/** One sentence of a benchmark: `On GSM8K, ...`. `count` as above. */
export function benchmarkSentence(comparison: BenchmarkComparison, count: number): string {
  const { title, metric, label, baselineLabel, difference, bySeed, side } = comparison;
  const numbers = `difference in ${metric} ${signedInterval(difference)}, paired by ${itemText(difference.count)}${seedText(comparison)}`;
  const p = `p ${pText(comparison.pCorrected).replace(/^(?=\d)/, '= ')}${count > 1 ? ` corrected for ${count} comparisons of benchmarks` : ''}`;
  const of = bySeed.length > 1 ? '' : 'the model of ';
  switch (side) {
    case 'above':
      return `On ${title}, ${of}${label} is better than ${bySeed.length > 1 ? '' : 'that of '}${baselineLabel}: ${numbers}; ${p}.`;
    case 'below':
      return `On ${title}, ${of}${label} is worse than ${bySeed.length > 1 ? '' : 'that of '}${baselineLabel}: ${numbers}; ${p}.`;
    case 'undecided':
      return `On ${title}, no winner between ${label} and ${baselineLabel}: ${numbers}; ${p}.`;
    case 'too few':
      return `On ${title}, too few items to say whether ${label} is better than ${baselineLabel}: ${itemText(difference.count)}, and ${FEWEST_PROMPTS} are needed; difference in ${metric} ${signedInterval(difference)}.`;
  }
}

function itemText(count: number): string {
  return count === 1 ? '1 item' : `${count} items`;
}

/** ` and 5 seeds, ahead in 4 (over seeds +0.01 [...])`. */
function seedText({ bySeed, overSeeds, difference }: PairedDifference): string {
  if (overSeeds === null)
    return bySeed.length === 1 && bySeed[0]?.seed === null ? ' of two runs of different seeds' : ' and one seed';
  const same = bySeed.filter((each) => Math.sign(each.difference) === Math.sign(difference.value)).length;
  const where = difference.value < 0 ? 'behind' : 'ahead';
  return ` and ${bySeed.length} seeds, ${where} in ${same} of them (95 % interval over seeds [${signedEnds(overSeeds)}])`;
}

function signedEnds(interval: { low: number; high: number }): string {
  return [interval.low, interval.high].map((end) => `${end > 0 ? '+' : ''}${fixed(end, 3)}`).join(', ');
}

/** `0.031`, `< 0.001`. */
export function pText(p: number): string {
  return p < 0.001 ? '< 0.001' : fixed(p, 3);
}
