/**
 * @file EQ-Bench (Paech 2023, https://arxiv.org/abs/2312.06281): how near a model's intensities of four emotions come to the
 * authors'. From an answer's text to the score of a question. Pure.
 */

/** Intensity by emotion. */
export type Intensities = ReadonlyMap<string, number>;

/** v1 scales the four intensities to sum 10; v2 takes them as they are, from 0 to 10. */
export type EqBenchVersion = 'v1' | 'v2';

/** Worst mean penalty of chance, so that guessing scores near 0. The code's constant; published scores fit 0.7478 better. */
const PENALTY_SCALE = 0.7477;
const EMOTIONS = 4;

/** The intensities in a text, `Emotion: number` each; where an emotion comes twice, the later one counts. */
export function readIntensities(text: string): Map<string, number> {
  return new Map([...text.matchAll(/(\w+):\s+(\d+)/g)].map(([, emotion = '', value]) => [emotion, Number(value)]));
}

/**
 * The score of one question, 10 at best; v2 may fall below 0. Null where the answer cannot be read: not exactly the question's
 * four emotions, or in v1 a sum of 0.
 */
export function questionScore(answer: Intensities, reference: Intensities, version: EqBenchVersion): number | null {
  const isReadable =
    reference.size === EMOTIONS &&
    answer.size === EMOTIONS &&
    [...answer].every(([emotion, value]) => reference.has(emotion) && Number.isFinite(value));
  if (!isReadable) return null;
  switch (version) {
    case 'v1':
      return scaledScore(answer, reference);
    case 'v2':
      return (
        10 - PENALTY_SCALE * sumOver(answer, (emotion, value) => penalty(Math.abs(value - at(reference, emotion))))
      );
  }
}

/** Distances to the reference, both scaled to sum 10. */
function scaledScore(answer: Intensities, reference: Intensities): number | null {
  const total = sumOver(answer, (_, value) => value);
  const wanted = sumOver(reference, (_, value) => value);
  if (!(total > 0)) return null;
  return (
    10 - sumOver(answer, (emotion, value) => Math.abs((10 * value) / total - (10 * at(reference, emotion)) / wanted))
  );
}

/** Small distances count little, large ones in full. */
function penalty(distance: number): number {
  if (distance === 0) return 0;
  return distance <= 5 ? 6.5 / (1 + Math.exp(-1.2 * (distance - 4))) : distance;
}

function at(reference: Intensities, emotion: string): number {
  return reference.get(emotion) ?? Number.NaN;
}

function sumOver(values: Intensities, term: (emotion: string, value: number) => number): number {
  let sum = 0;
  for (const [emotion, value] of values) sum += term(emotion, value);
  return sum;
}
