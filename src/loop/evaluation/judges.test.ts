import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { openLedger } from '../../store/ledger.ts';
import { judgeAnswers } from './judges.ts';

it('the judge of all measures has one budget: what it was asked in other ways counts, what the ranker of the run asked does not', () => {
  using ledger = openLedger(join(temporaryFolder(), 'run.db'));
  const answer = { outcome: 'answer', text: '{}', promptTokens: 10, completionTokens: 1 } as const;
  ledger.answers.put('a', { ...answer, rankerId: 'judge:pairwise' });
  ledger.answers.put('b', { ...answer, rankerId: 'judge:rating' });
  ledger.answers.put('c', { ...answer, rankerId: 'ranker of the run' });
  const answers = judgeAnswers(ledger);
  expect(answers.spent('judge:pairwise')).toEqual({ calls: 1, promptTokens: 10, completionTokens: 1 });
  expect(answers.spent('judge:rating')).toEqual({ calls: 2, promptTokens: 20, completionTokens: 2 });
  // The first way of asking, opened again after a stop.
  expect(judgeAnswers(ledger).spent('judge:pairwise').calls).toBe(2);
});
