/** @file The labelling page: two answers side by side, one key a decision, and the next question is there at once. */
import type { JSX } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { GivenAnswer, OpenQuestions, ShownQuestion } from '../src/server/api.ts';
import { Marked, Trouble } from './parts.tsx';
import { problemOf, tell, useAnswer } from './server.ts';

type Choice = GivenAnswer['choice'];

/** Every action with its key, as its button shows it. */
const ACTIONS: readonly { choice: Choice; key: string; text: string }[] = [
  { choice: 'left', key: '1', text: 'left is better' },
  { choice: 'right', key: '2', text: 'right is better' },
  { choice: 'tie', key: '3', text: 'equally good' },
  { choice: 'both-bad', key: '4', text: 'both bad' },
  { choice: 'skip', key: 's', text: 'skip the prompt' },
  { choice: 'undo', key: 'u', text: 'undo' },
];

export function LabelTab({ runId, version }: { runId: string; version: number }): JSX.Element {
  const path = `/api/runs/${encodeURIComponent(runId)}`;
  const [turn, setTurn] = useState(0);
  const asked = useAnswer<OpenQuestions>(`${path}/questions`, `${version} ${turn}`);
  const [given, setGiven] = useState<ReadonlySet<string>>(new Set());
  const [problem, setProblem] = useState<ReturnType<typeof problemOf> | null>(null);
  const [undoable, setUndoable] = useState<ShownQuestion | null>(null);
  const shownMs = useRef(performance.now());
  const known = asked.value;
  const question = known?.next.find(({ id }) => !given.has(id)) ?? null;
  const back = undoable ?? known?.undoable ?? null;

  // The run asks when it has samples, and asks on when an answer decides what to ask next.
  useEffect(() => {
    const again = setInterval(() => setTurn((before) => before + 1), 1000);
    return () => clearInterval(again);
  }, []);
  // The clock starts with each question
  useEffect(() => {
    shownMs.current = performance.now();
  }, [question?.id]);

  const choose = useCallback(
    (choice: Choice): void => {
      const about = choice === 'undo' ? back : question;
      if (about === null) return;
      const answer: GivenAnswer = {
        question: about.id,
        choice,
        seconds: (performance.now() - shownMs.current) / 1000,
        key: crypto.randomUUID(),
      };
      // The next question is shown while the answer is on its way; one that is not kept comes back.
      setGiven((before) => {
        const after = new Set(before);
        if (choice === 'undo') after.delete(about.id);
        else after.add(about.id);
        return after;
      });
      setUndoable(choice === 'undo' ? null : about);
      tell(`${path}/answers`, answer).then(
        () => {
          setProblem(null);
          setTurn((before) => before + 1);
        },
        (error: unknown) => {
          setProblem(problemOf(error));
          setGiven((before) => new Set([...before].filter((id) => id !== about.id)));
        },
      );
    },
    [back, question, path],
  );
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const action = ACTIONS.find(({ key }) => key === event.key.toLowerCase());
      const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (action === undefined || isTyping || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      choose(action.choice);
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, [choose]);

  return (
    <section aria-label="Questions">
      <Trouble problem={problem ?? asked.problem} />
      <p class="hint" role="status">
        {known === null ? 'Looking …' : `${known.open} questions are open, ${known.answered} answered`}
      </p>
      {question === null ? (
        <p class="empty">Nothing is asked at the moment. When the run has a question, it appears here.</p>
      ) : (
        <article>
          {question.reason === '' ? null : <p class="hint">Why this one: {question.reason}</p>}
          <p class="prompt" dir="auto">
            {question.prompt}
          </p>
          <div class="answers two">
            <div class="answer">
              <h3>left</h3>
              <Marked text={question.left} other={question.right} />
            </div>
            <div class="answer">
              <h3>right</h3>
              <Marked text={question.right} other={question.left} />
            </div>
          </div>
        </article>
      )}
      <div class="actions">
        {ACTIONS.map(({ choice, key, text }) => (
          <button
            type="button"
            key={choice}
            disabled={(choice === 'undo' ? back : question) === null}
            onClick={() => choose(choice)}
          >
            <kbd>{key}</kbd> {text}
          </button>
        ))}
      </div>
    </section>
  );
}
