/** @file A question that comes after a long one is read from its start, not from where the one before was left. */
import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** A reference for the element of what is asked: when something else is asked and its start is above the screen, the page moves there. */
export function useFromItsStart(id: string | null): RefObject<HTMLElement | null> {
  const shown = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    const top = shown.current?.getBoundingClientRect().top ?? 0;
    if (top < 0) shown.current?.scrollIntoView();
  }, [id]);
  return shown;
}
