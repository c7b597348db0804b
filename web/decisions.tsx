/** @file Buttons of what is decided about two answers, each with its key on it: questions of a run and votes of an arena share them. */
import type { JSX } from 'preact';

/** Shows texts as they were written, and back. */
export const AS_WRITTEN = 'w';

/** A button for each decision; one about nothing cannot be pressed. */
export function Decisions<Choice extends string>({
  actions,
  about,
  back,
  onChoose,
}: {
  actions: readonly { choice: Choice; key: string; text: string }[];
  /** What a decision is about, and what undo takes back. */
  about: object | null;
  back: object | null;
  onChoose: (choice: Choice) => void;
}): JSX.Element {
  return (
    <>
      {actions.map(({ choice, key, text }) => (
        <button
          type="button"
          key={choice}
          disabled={(choice === 'undo' ? back : about) === null}
          onClick={() => onChoose(choice)}
        >
          <kbd>{key}</kbd> {text}
        </button>
      ))}
    </>
  );
}

export function AsWritten({ isOn, onChange }: { isOn: boolean; onChange: (isOn: boolean) => void }): JSX.Element {
  return (
    <button type="button" aria-pressed={isOn} onClick={() => onChange(!isOn)}>
      <kbd>{AS_WRITTEN}</kbd> texts as written
    </button>
  );
}
