/** @file What people are asked, as a page has it: the next question at once, answers on their way one after another. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from '../src/server/api.ts';
import { problemOf, tell, useAnswer } from './server.ts';

/** Between two looks at what is asked; counted from when the last one came, so that a slow network is not asked twice at once. */
const AGAIN_MS = 1000;

/** What the server says: what comes next, and the last answer that can be taken back. */
interface Asked<Item> {
  next: Item[];
  undoable: Item | null;
}

/** What the page knows of an answer itself. */
export interface AnswerFacts {
  /** Of what was asked. */
  id: string;
  /** For which it was shown. */
  seconds: number;
  key: string;
}

export interface Asking<Item, Known> {
  /** What the server said last; null before it said anything. */
  known: Known | null;
  /** What is asked now. */
  item: Item | null;
  /** The last answer that can be taken back. */
  back: Item | null;
  problem: Problem | null;
  /** Sends what `say` makes of it: an answer to what is asked now, or that the last one is taken back. */
  decide(kind: 'answer' | 'undo', say: (facts: AnswerFacts) => unknown): void;
}

/** Asks at one address and sends answers to another. `version`: changes with what the run told. */
export function useAsking<Item extends { id: string }, Known extends Asked<Item>>(
  { from, to }: { from: string; to: string },
  version: number,
): Asking<Item, Known> {
  const [turn, setTurn] = useState(0);
  const asked = useAnswer<Known>(from, `${version} ${turn}`);
  const [known, setKnown] = useState<Known | null>(null);
  const [given, setGiven] = useState<ReadonlySet<string>>(new Set());
  const [undoable, setUndoable] = useState<Item | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const sending = useRef<Promise<void>>(Promise.resolve());
  const decided = useRef<string | null>(null);
  const shownMs = useRef(performance.now());
  const item = known?.next.find(({ id }) => !given.has(id)) ?? null;
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
  }, [item?.id]);

  const decide: Asking<Item, Known>['decide'] = (kind, say) => {
    const about = kind === 'undo' ? back : item;
    // A second key before the next question is drawn is no second answer.
    if (about === null || (kind === 'answer' && about.id === decided.current)) return;
    decided.current = kind === 'undo' ? null : about.id;
    const seconds = (performance.now() - shownMs.current) / 1000;
    const answer = say({ id: about.id, seconds, key: crypto.randomUUID() });
    // The next question is shown while the answer is on its way; one that is not kept comes back.
    setGiven((before) => changed(before, about.id, kind === 'answer'));
    setUndoable(kind === 'undo' ? null : about);
    // One after another: an undo must not overtake the answer that it takes back.
    sending.current = sending.current
      .then(() => tell<Known>(to, answer))
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
  return { known, item, back, problem: problem ?? asked.problem, decide };
}

function changed(ids: ReadonlySet<string>, id: string, isIn: boolean): ReadonlySet<string> {
  const after = new Set(ids);
  if (isIn) after.add(id);
  else after.delete(id);
  return after;
}
