/** @file The better text in the annotator's own words; keeping it is the answer. */
import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

export function Editor({
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
  const field = useRef<HTMLTextAreaElement>(null);
  // A key opened it: the next keys are the text, also one that comes before the picture
  useLayoutEffect(() => field.current?.focus(), []);
  const press = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') onLeave();
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && text.trim() !== '') onKeep();
  };
  return (
    <div class="editor">
      <textarea
        ref={field}
        aria-label={`The ${side} answer as it should be`}
        rows={8}
        maxLength={8000}
        value={text}
        onInput={(event) => onChange(event.currentTarget.value)}
        onKeyDown={press}
      />
      <button type="button" class="small" disabled={text.trim() === ''} onClick={onKeep}>
        <kbd>Ctrl Enter</kbd> this is better: keep it
      </button>{' '}
      <button type="button" class="small" onClick={onLeave}>
        <kbd>Esc</kbd> leave it as it was
      </button>
    </div>
  );
}
