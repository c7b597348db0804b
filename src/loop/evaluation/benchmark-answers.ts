/**
 * @file Answers to benchmarks inside a run. The run's ledger keeps them, so that it holds everything behind its
 * numbers. The file that `selm eval` shares keeps them too, so that no command asks the same model twice.
 */
import { type AnswerStore, defaultStorePath, openAnswerStore } from '../../evaluate/benchmarks/answer-store.ts';
import type { Announce } from '../../store/events.ts';
import type { Ledger } from '../../store/ledger.ts';

/** A store over both. What the shared one has is copied into the ledger when it is used. */
export function answersOfRun(ledger: Ledger, shared: AnswerStore | null): AnswerStore {
  return {
    get(key) {
      const own = ledger.benchmarkAnswer(key);
      if (own !== null) return own;
      const answer = shared?.get(key) ?? null;
      if (answer !== null) ledger.putBenchmarkAnswers([{ key, answer }]);
      return answer;
    },
    put(answers) {
      ledger.putBenchmarkAnswers(answers);
      shared?.put(answers);
    },
    close: () => shared?.close(),
  };
}

/** The shared file, or null where it cannot be used, which a warning says: a run needs only its own. */
export function sharedAnswers(announce: Announce): AnswerStore | null {
  try {
    return openAnswerStore(defaultStorePath());
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    announce({ kind: 'warning', text: `Answers to benchmarks are kept in this run only: ${reason}` });
    return null;
  }
}
