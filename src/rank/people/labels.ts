/**
 * @file From people's comparisons to labels of single texts, which KTO trains on: what won is good, what lost is bad, and two that
 * are both bad are bad, although they make no pair. Pure.
 */
import { isRanked, type Questions } from './questions.ts';

/** A text that people called good or bad. */
export interface TextLabel {
  promptId: string;
  text: string;
  isGood: boolean;
}

/** The texts that were said more good than bad of, or more bad than good, in the order in which they were asked about. */
export function textLabels({ asked, answers }: Pick<Questions, 'asked' | 'answers'>): TextLabel[] {
  const found = new Map<string, { promptId: string; text: string; balance: number }>();
  const add = (promptId: string, text: string, by: number): void => {
    const key = JSON.stringify([promptId, text]);
    found.set(key, { promptId, text, balance: (found.get(key)?.balance ?? 0) + by });
  };
  for (const { question: id, choice } of answers) {
    const question = asked.get(id);
    if (question === undefined || !isRanked(question)) continue;
    const { promptId, texts } = question;
    switch (choice) {
      case 'first':
      case 'second':
        add(promptId, texts[0], choice === 'first' ? 1 : -1);
        add(promptId, texts[1], choice === 'second' ? 1 : -1);
        break;
      case 'both-bad':
        for (const text of texts) add(promptId, text, -1);
        break;
      case 'tie':
      case 'skip':
    }
  }
  return [...found.values()].flatMap(({ promptId, text, balance }) =>
    balance === 0 ? [] : [{ promptId, text, isGood: balance > 0 }],
  );
}
