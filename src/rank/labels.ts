/**
 * @file From comparisons to labels of single texts, which KTO trains on: what won is good, what lost is bad, and two that are both
 * bad are bad, although they make no pair. Pure.
 */
import { placesOf } from './pairing.ts';
import type { Candidate, Ranking } from './ranker.ts';

/** What was said of two texts; `neither`: nothing that makes one of them good or bad. */
export type SaidOfTwo = 'first' | 'second' | 'both-bad' | 'neither';

/** A text that was called good or bad. */
export type Labelled<Text> = Text & { isGood: boolean };

/** Two texts, and what was said of them. */
export interface ComparedTexts<Text> {
  texts: readonly [Text, Text];
  said: SaidOfTwo;
}

/**
 * The texts that were called more good than bad, or more bad than good, in the order in which they were first called anything.
 *
 * @param nameOf texts of one name are one text
 */
export function goodAndBad<Text extends object>(
  comparisons: Iterable<ComparedTexts<Text>>,
  nameOf: (text: Text) => string,
): Labelled<Text>[] {
  const found = new Map<string, { text: Text; balance: number }>();
  const add = (text: Text, by: number): void => {
    const name = nameOf(text);
    found.set(name, { text, balance: (found.get(name)?.balance ?? 0) + by });
  };
  for (const {
    texts: [first, second],
    said,
  } of comparisons) {
    if (said === 'neither') continue;
    add(first, said === 'first' ? 1 : -1);
    add(second, said === 'second' ? 1 : -1);
  }
  return [...found.values()].flatMap(({ text, balance }) => (balance === 0 ? [] : [{ ...text, isGood: balance > 0 }]));
}

/** The candidates that a verdict calls good or bad, by its comparisons; a text that somebody wrote in place of the better one is good. */
export function labelsOfVerdict(candidates: readonly Candidate[], ranking: Ranking): Labelled<Candidate>[] {
  const places = placesOf(ranking);
  const comparisons = (ranking.judgements ?? []).flatMap(
    ({ shown: [a = -1, b = -1], areBothBad, edit }): ComparedTexts<Candidate>[] => {
      const [first, second] = [candidates[a], candidates[b]];
      const [place, other] = [places[a], places[b]];
      if (first === undefined || second === undefined || place === undefined || other === undefined) return [];
      const said = areBothBad === true ? 'both-bad' : place < other ? 'first' : place > other ? 'second' : 'neither';
      const edited = (text: Candidate, side: SaidOfTwo): Candidate =>
        edit === undefined || said !== side ? text : { kind: 'edit', sampleIndex: null, text: edit };
      return [{ texts: [edited(first, 'first'), edited(second, 'second')], said }];
    },
  );
  return goodAndBad(comparisons, ({ text }) => text);
}
