/** @file Keys of a page: one letter an action, where nobody is typing. */
import { useEffect, useRef } from 'preact/hooks';

/** Calls the action of a key that is pressed; `act` says whether it had one. */
export function useKeys(act: (key: string) => boolean): void {
  // Always the one of what is shown now: effects come after the picture, and a key may come between the two.
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const isTyping = [HTMLInputElement, HTMLSelectElement, HTMLTextAreaElement].some(
        (kind) => event.target instanceof kind,
      );
      if (isTyping || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      if (latest.current(event.key.toLowerCase())) event.preventDefault();
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, []);
}
