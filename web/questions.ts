/** @file What a run asks, as the page has it: the next question at once, answers on their way one after another. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { GivenAnswer, OpenQuestions, Problem, ShownQuestion } from '../src/server/api.ts';
import { problemOf, tell, useAnswer } from './server.ts';

/** Between two looks at what is asked; counted from when the last one came, so that a slow network is not asked twice at once. */
const AGAIN_MS = 1000;

/** What the annotator says of a question, without what the page itself knows. */
export type Decision = Omit<GivenAnswer, 'question' | 'seconds' | 'key'>;

export interface Asking {
  /** What the server said last; null before it said anything. */
  known: OpenQuestions | null;
  question: ShownQuestion | null;
  /** The last answer that can be taken back. */
  back: ShownQuestion | null;
  problem: Problem | null;
  /** Answers the question that is shown, or takes the last answer back. */
  decide(decision: Decision): void;
}

/** Asks a run for its questions and sends it the answers. `path`: of the run; `version`: changes with what the run told. */
export function useQuestions(path: string, version: number): Asking {
  const [turn, setTurn] = useState(0);
  const asked = useAnswer<OpenQuestions>(`${path}/questions`, `${version} ${turn}`);
  const [known, setKnown] = useState<OpenQuestions | null>(null);
  const [given, setGiven] = useState<ReadonlySet<string>>(new Set());
  const [undoable, setUndoable] = useState<ShownQuestion | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const sending = useRef<Promise<void>>(Promise.resolve());
  const decided = useRef<string | null>(null);
  const shownMs = useRef(performance.now());
  const question = known?.next.find(({ id }) => !given.has(id)) ?? null;
  const back = undoable ?? known?.undoable ?? null;

  // The run asks when it has samples, and asks on when an answer decides what to ask next.
  useEffect(() => {
    if (asked.value !== null) setKnown(asked.value);
    const again = setTimeout(() => setTurn((before) => before + 1), AGAIN_MS);
    return () => clearTimeout(again);
  }, [asked]);
  // The clock starts with each question
  useEffect(() => {
    shownMs.current = performance.now();
  }, [question?.id]);

  const decide = (decision: Decision): void => {
    const about = decision.choice === 'undo' ? back : question;
    // A second key before the next question is drawn is no second answer.
    if (about === null || (decision.choice !== 'undo' && about.id === decided.current)) return;
    decided.current = decision.choice === 'undo' ? null : about.id;
    const seconds = (performance.now() - shownMs.current) / 1000;
    const answer: GivenAnswer = { ...decision, question: about.id, seconds, key: crypto.randomUUID() };
    // The next question is shown while the answer is on its way; one that is not kept comes back.
    setGiven((before) => changed(before, about.id, decision.choice !== 'undo'));
    setUndoable(decision.choice === 'undo' ? null : about);
    // One after another: an undo must not overtake the answer that it takes back.
    sending.current = sending.current
      .then(() => tell<OpenQuestions>(`${path}/answers`, answer))
      .then(
        (next) => {
          setProblem(null);
          setKnown(next);
        },
        (error: unknown) => {
          setProblem(problemOf(error));
          if (decided.current === about.id) decided.current = null;
          setGiven((before) => changed(before, about.id, false));
        },
      );
  };
  return { known, question, back, problem: problem ?? asked.problem, decide };
}

function changed(ids: ReadonlySet<string>, id: string, isIn: boolean): ReadonlySet<string> {
  const after = new Set(ids);
  if (isIn) after.add(id);
  else after.delete(id);
  return after;
}
