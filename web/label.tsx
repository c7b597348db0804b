/** @file The labelling page: two answers side by side, one key a decision, and the next question is there at once. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { GivenAnswer, OpenQuestions, ShownQuestion, Tag } from '../src/server/api.ts';
import { useAsking } from './asking.ts';
import { AS_WRITTEN, AsWritten, Decisions } from './decisions.tsx';
import { Editor } from './editor.tsx';
import { useFromItsStart } from './from-its-start.ts';
import { useKeys } from './keys.ts';
import { Marked, Rendered, Trouble } from './parts.tsx';

type Choice = GivenAnswer['choice'];
type Side = 'left' | 'right';

/** Every decision with its key, as its button shows it. */
const ACTIONS: readonly { choice: Choice; key: string; text: string }[] = [
  { choice: 'left', key: '1', text: 'left is better' },
  { choice: 'right', key: '2', text: 'right is better' },
  { choice: 'tie', key: '3', text: 'equally good' },
  { choice: 'both-bad', key: '4', text: 'both bad' },
  { choice: 'skip', key: 's', text: 'skip the prompt' },
  { choice: 'undo', key: 'u', text: 'undo' },
];
const EDITS: readonly { side: Side; key: string }[] = [
  { side: 'left', key: 'q' },
  { side: 'right', key: 'e' },
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
  const asking = useAsking<ShownQuestion, OpenQuestions>({ from: `${path}/questions`, to: `${path}/answers` }, version);
  const { known, item: question, back, problem } = asking;
  const [beside, setBeside] = useState<Beside>(NOTHING);
  const [edited, setEdited] = useState<{ side: Side; text: string } | null>(null);
  const [isAsWritten, setAsWritten] = useState(false);
  // Nothing is said beside a question that has just come
  useEffect(() => {
    setBeside(NOTHING);
    setEdited(null);
  }, [question?.id]);

  const choose = (choice: Choice, edit: string | null = null): void => {
    const { isMuch, isFlagged, tags } = beside;
    asking.decide(
      choice === 'undo' ? 'undo' : 'answer',
      ({ id, ...facts }): GivenAnswer => ({
        question: id,
        ...facts,
        choice,
        strength: isMuch ? 'much' : 'some',
        tags: [...tags],
        isFlagged,
        edit,
      }),
    );
  };
  const edit = (side: Side): void => {
    if (question !== null) setEdited({ side, text: question[side] });
  };
  useKeys((key) => {
    const action = ACTIONS.find((each) => each.key === key);
    const toggle = TOGGLES.find((each) => each.key === key);
    const editing = EDITS.find((each) => each.key === key);
    if (action !== undefined) choose(action.choice);
    if (toggle !== undefined) setBeside((before) => ({ ...before, [toggle.what]: !before[toggle.what] }));
    if (editing !== undefined) edit(editing.side);
    if (key === AS_WRITTEN) setAsWritten((before) => !before);
    return key === AS_WRITTEN || [action, toggle, editing].some((each) => each !== undefined);
  });

  const article = useFromItsStart(question?.id ?? null);
  const Text = isAsWritten ? Marked : Rendered;
  return (
    <section aria-label="Questions">
      <Trouble problem={problem} />
      <p class="hint" role="status">
        {known === null ? 'Looking …' : `Questions: ${known.open} open, ${known.answered} answered`}
      </p>
      {question === null ? (
        <p class="empty">Nothing is asked at the moment. When the run has a question, it appears here.</p>
      ) : (
        <article ref={article}>
          {question.reason === '' ? null : <p class="hint">Why this one: {question.reason}</p>}
          <div class="prompt">
            {question.turns.length === 0 ? <Text text={question.prompt} other={null} /> : null}
            {question.turns.map(({ role, text }, index) => (
              <section key={index} aria-label={role}>
                <p class="role">{role}</p>
                <Text text={text} other={null} />
              </section>
            ))}
          </div>
          <div class="answers two">
            {EDITS.map(({ side, key }) => (
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
                    <Text text={question[side]} other={side === 'left' ? question.right : question.left} />
                    <button type="button" class="small" onClick={() => edit(side)}>
                      <kbd>{key}</kbd> edit {side}
                    </button>
                  </>
                )}
              </div>
            ))}
          </div>
        </article>
      )}
      <div class="actions">
        <Decisions actions={ACTIONS} about={question} back={back} onChoose={choose} />
      </div>
      {question === null ? null : (
        <Besides tags={known?.tags ?? []} beside={beside} onChange={setBeside}>
          <AsWritten isOn={isAsWritten} onChange={setAsWritten} />
        </Besides>
      )}
    </section>
  );
}

/** Toggles for what may be said beside a decision. */
function Besides({
  tags,
  beside,
  onChange,
  children,
}: {
  tags: readonly Tag[];
  beside: Beside;
  onChange: (beside: Beside) => void;
  children: JSX.Element;
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
      {children}
    </fieldset>
  );
}
