/** @file What people's answers call good or bad, text by text, whether a run has used them or not (src/rank/labels.ts). Pure. */
import { goodAndBad, type Labelled, type SaidOfTwo } from '../labels.ts';
import { type Choice, isRanked, type Questions } from './questions.ts';

/** A text that people called good or bad. */
export type TextLabel = Labelled<{ promptId: string; text: string }>;

/** The texts that were said more good than bad of, or more bad than good, in the order in which they were asked about. */
export function textLabels({ asked, answers }: Pick<Questions, 'asked' | 'answers'>): TextLabel[] {
  const comparisons = answers.flatMap(({ question: id, choice }) => {
    const question = asked.get(id);
    if (question === undefined || !isRanked(question)) return [];
    const {
      promptId,
      texts: [first, second],
    } = question;
    return [
      {
        texts: [
          { promptId, text: first },
          { promptId, text: second },
        ] as const,
        said: saidBy(choice),
      },
    ];
  });
  return goodAndBad(comparisons, ({ promptId, text }) => JSON.stringify([promptId, text]));
}

function saidBy(choice: Choice): SaidOfTwo {
  switch (choice) {
    case 'first':
    case 'second':
    case 'both-bad':
      return choice;
    case 'tie':
    case 'skip':
      return 'neither';
  }
}
