/**
 * @file Intervals of Bradley-Terry strengths where comparisons come in clusters: many by one annotator, many of one prompt. They say less
 * than as many independent ones. Pure.
 */
import { randomKey, uniformAt } from '../random.ts';
import { bradleyTerry, type Match, type Strength } from './bradley-terry.ts';
import { quantile } from './statistics.ts';

/** A comparison, and what it shares with others. */
export interface ClusteredMatch extends Match {
  prompt: string;
  annotator: string;
}

const RESAMPLES = 300;

/**
 * The most likely strengths with 95 % intervals by the pigeonhole bootstrap: prompts and annotators are resampled, each for itself, and a
 * comparison counts as often as its prompt times its annotator were drawn (Owen 2007, https://doi.org/10.1214/07-AOAS122). Where that is
 * narrower than the interval of independent comparisons, as with few prompts, the latter stands.
 *
 * @param seed the intervals depend on it, and on nothing else that is random
 */
export function clusteredStrengths(
  contenders: number,
  matches: readonly ClusteredMatch[],
  { seed, resamples = RESAMPLES }: { seed: number; resamples?: number },
): Strength[] {
  const independent = bradleyTerry(contenders, matches);
  if (matches.length === 0) return independent;
  const prompts = placesOf(matches.map(({ prompt }) => prompt));
  const annotators = placesOf(matches.map(({ annotator }) => annotator));
  const drawn = Array.from({ length: resamples }, (_, resample) => {
    const ofPrompt = drawCounts(prompts.size, { seed, what: 'prompts', resample });
    const ofAnnotator = drawCounts(annotators.size, { seed, what: 'annotators', resample });
    const weighted = matches.map((match) => ({
      ...match,
      weight:
        (ofPrompt[prompts.get(match.prompt) ?? 0] ?? 0) * (ofAnnotator[annotators.get(match.annotator) ?? 0] ?? 0),
    }));
    return bradleyTerry(contenders, weighted).map(({ value }) => value);
  });
  return independent.map(({ value, low, high }, contender) => {
    const values = drawn.map((each) => each[contender] ?? 0);
    return { value, low: Math.min(low, quantile(values, 0.025)), high: Math.max(high, quantile(values, 0.975)) };
  });
}

function placesOf(names: readonly string[]): Map<string, number> {
  return new Map([...new Set(names)].map((name, place) => [name, place]));
}

/** How often each of some was drawn, of as many draws with replacement. */
function drawCounts(
  count: number,
  { seed, what, resample }: { seed: number; what: string; resample: number },
): number[] {
  const key = randomKey(seed, 'arena intervals', what, resample);
  const counts = Array<number>(count).fill(0);
  for (let draw = 0; draw < count; draw++) {
    const place = Math.floor(count * uniformAt(key, draw));
    counts[place] = (counts[place] ?? 0) + 1;
  }
  return counts;
}
