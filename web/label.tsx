/** @file The labelling page: two answers side by side, one key a decision, and the next question is there at once. */
import type { JSX } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { GivenAnswer, OpenQuestions, ShownQuestion, Tag } from '../src/server/api.ts';
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

/** What may be said beside the decision; it goes along with the next one. */
interface Beside {
  isMuch: boolean;
  isFlagged: boolean;
  tags: readonly Tag[];
}
const NOTHING: Beside = { isMuch: false, isFlagged: false, tags: [] };
const TOGGLES = [
  { what: 'isMuch', key: 'm', text: 'much better' },
  { what: 'isFlagged', key: 'f', text: 'flag' },
] as const;

export function LabelTab({ runId, version }: { runId: string; version: number }): JSX.Element {
  const path = `/api/runs/${encodeURIComponent(runId)}`;
  const [turn, setTurn] = useState(0);
  const asked = useAnswer<OpenQuestions>(`${path}/questions`, `${version} ${turn}`);
  const [given, setGiven] = useState<ReadonlySet<string>>(new Set());
  const [problem, setProblem] = useState<ReturnType<typeof problemOf> | null>(null);
  const [undoable, setUndoable] = useState<ShownQuestion | null>(null);
  const [beside, setBeside] = useState<Beside>(NOTHING);
  const [edited, setEdited] = useState<{ side: 'left' | 'right'; text: string } | null>(null);
  const shownMs = useRef(performance.now());
  const known = asked.value;
  const question = known?.next.find(({ id }) => !given.has(id)) ?? null;
  const back = undoable ?? known?.undoable ?? null;

  // The run asks when it has samples, and asks on when an answer decides what to ask next.
  useEffect(() => {
    const again = setInterval(() => setTurn((before) => before + 1), 1000);
    return () => clearInterval(again);
  }, []);
  // The clock starts with each question, and nothing is said beside it yet
  useEffect(() => {
    setBeside(NOTHING);
    setEdited(null);
    shownMs.current = performance.now();
  }, [question?.id]);

  const choose = useCallback(
    (choice: Choice, edit: string | null = null): void => {
      const about = choice === 'undo' ? back : question;
      if (about === null) return;
      const answer: GivenAnswer = {
        question: about.id,
        choice,
        strength: beside.isMuch ? 'much' : 'some',
        tags: [...beside.tags],
        isFlagged: beside.isFlagged,
        edit,
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
    [back, question, path, beside],
  );
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const toggle = TOGGLES.find(({ key }) => key === event.key.toLowerCase());
      const action = ACTIONS.find(({ key }) => key === event.key.toLowerCase());
      const isTyping = [HTMLInputElement, HTMLSelectElement, HTMLTextAreaElement].some(
        (kind) => event.target instanceof kind,
      );
      if (isTyping || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      if (toggle !== undefined) setBeside((before) => ({ ...before, [toggle.what]: !before[toggle.what] }));
      if (action !== undefined) choose(action.choice);
      if (toggle !== undefined || action !== undefined) event.preventDefault();
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
            {(['left', 'right'] as const).map((side) => (
              <div class="answer" key={side}>
                <h3>{side}</h3>
                {edited?.side === side ? (
                  <Editor
                    side={side}
                    text={edited.text}
                    onChange={(text) => setEdited({ side, text })}
                    onKeep={() => choose(side, edited.text)}
                    onLeave={() => setEdited(null)}
                  />
                ) : (
                  <>
                    <Marked text={question[side]} other={side === 'left' ? question.right : question.left} />
                    <button type="button" class="small" onClick={() => setEdited({ side, text: question[side] })}>
                      edit {side}
                    </button>
                  </>
                )}
              </div>
            ))}
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
      {question === null ? null : <Besides tags={known?.tags ?? []} beside={beside} onChange={setBeside} />}
    </section>
  );
}

/** The better text in the annotator's own words; keeping it is the answer. */
function Editor({
  side,
  text,
  onChange,
  onKeep,
  onLeave,
}: {
  side: 'left' | 'right';
  text: string;
  onChange: (text: string) => void;
  onKeep: () => void;
  onLeave: () => void;
}): JSX.Element {
  return (
    <div class="editor">
      <textarea
        aria-label={`The ${side} answer as it should be`}
        rows={8}
        maxLength={8000}
        value={text}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      <button type="button" class="small" disabled={text.trim() === ''} onClick={onKeep}>
        this is better: keep it
      </button>{' '}
      <button type="button" class="small" onClick={onLeave}>
        leave it as it was
      </button>
    </div>
  );
}

/** Toggles for what may be said beside a decision. */
function Besides({
  tags,
  beside,
  onChange,
}: {
  tags: readonly Tag[];
  beside: Beside;
  onChange: (beside: Beside) => void;
}): JSX.Element {
  return (
    <fieldset class="besides" aria-label="Said with the answer, if you like">
      {TOGGLES.map(({ what, key, text }) => (
        <button
          type="button"
          key={key}
          aria-pressed={beside[what]}
          onClick={() => onChange({ ...beside, [what]: !beside[what] })}
        >
          <kbd>{key}</kbd> {text}
        </button>
      ))}
      {tags.map((tag) => (
        <button
          type="button"
          key={tag}
          aria-pressed={beside.tags.includes(tag)}
          onClick={() => {
            const others = beside.tags.filter((each) => each !== tag);
            onChange({ ...beside, tags: others.length < beside.tags.length ? others : [...others, tag] });
          }}
        >
          {tag}
        </button>
      ))}
    </fieldset>
  );
}
