/** @file Small parts that several pages use. */
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Problem, Progress, RunStanding } from '../src/server/api.ts';
import { differences } from './difference.ts';
import { duration, rate } from './format.ts';
import { type MarkdownNode, markdownOf } from './markdown.ts';

/** How a run stands, as a word with a sign: readable without colour. */
const STANDINGS: Readonly<Record<RunStanding, { sign: string; word: string }>> = {
  running: { sign: '▶', word: 'running' },
  waiting: { sign: '◷', word: 'waiting' },
  failed: { sign: '✕', word: 'failed' },
  finished: { sign: '✓', word: 'finished' },
  stopped: { sign: '■', word: 'stopped' },
  died: { sign: '☠', word: 'process died' },
  unreadable: { sign: '?', word: 'unreadable' },
};

export function Standing({ standing }: { standing: RunStanding }): JSX.Element {
  const { sign, word } = STANDINGS[standing];
  return (
    <span class={`standing ${standing}`}>
      <span aria-hidden="true">{sign}</span> {word}
    </span>
  );
}

export function ProgressBar({ progress, label }: { progress: Progress; label: string }): JSX.Element {
  const { done, total, unit, detail, perSecond, secondsLeft } = progress;
  const facts = [
    `${done.toLocaleString('en')} of ${total.toLocaleString('en')} ${unit}`,
    ...(perSecond === null ? [] : [rate(perSecond)]),
    ...(secondsLeft === null ? [] : [`${duration(secondsLeft)} left of this stage`]),
    ...(detail === null ? [] : [detail]),
  ];
  return (
    <div class="progress">
      <progress max={Math.max(1, total)} value={done} aria-label={label} />
      <span class="hint">{facts.join(' · ')}</span>
    </div>
  );
}

export function Trouble({ problem }: { problem: Problem | null }): JSX.Element | null {
  if (problem === null) return null;
  return (
    <p class="trouble" role="alert">
      <Sentence text={problem.message} /> <span class="hint">({problem.code})</span>
    </p>
  );
}

/** What the program says, in which a piece between backticks is to be typed as it stands. */
export function Sentence({ text }: { text: string }): JSX.Element {
  const pieces = text.split(/`([^`\n]+)`/);
  return <>{pieces.map((piece, index) => (index % 2 === 1 ? <code key={index}>{piece}</code> : piece))}</>;
}

/** A command with a button that copies it. */
export function Command({ text }: { text: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false), // the text can still be selected
    );
  };
  return (
    <span class="command">
      <code>
        {text.split(' ').flatMap((word, index) => [
          index === 0 ? '' : ' ',
          <span class="word" key={index}>
            {word}
          </span>,
        ])}
      </code>
      <button type="button" class="small" onClick={copy}>
        {copied ? 'copied' : 'copy'}
      </button>
    </span>
  );
}

/** A text with what another one lacks marked. */
export function Marked({ text, other }: { text: string; other: string | null }): JSX.Element {
  if (text.trim() === '') return <p class="empty">(empty)</p>;
  const pieces = other === null ? [{ text, isOnlyHere: false }] : differences(text, other);
  return (
    <p class="text" dir="auto">
      {pieces.map((piece, index) => (piece.isOnlyHere ? <mark key={index}>{piece.text}</mark> : piece.text))}
    </p>
  );
}

/** A text as its Markdown means it, with what another one lacks marked. */
export function Rendered({ text, other }: { text: string; other: string | null }): JSX.Element {
  // Of two long texts the differences take some milliseconds
  const tree = useMemo(() => markdownOf(text, other), [text, other]);
  if (text.trim() === '') return <p class="empty">(empty)</p>;
  return (
    <div class="rendered" dir="auto">
      {tree.map(elementOf)}
    </div>
  );
}

function elementOf(node: MarkdownNode, index: number): ComponentChildren {
  if (node.kind === 'text') return node.isOnlyHere ? <mark key={index}>{node.text}</mark> : node.text;
  const { tag: Tag, children } = node;
  return <Tag key={index}>{children.length === 0 ? null : children.map(elementOf)}</Tag>;
}

/** A field that tells what was typed when typing pauses. */
export function SearchField({
  label,
  value,
  onSearch,
}: {
  label: string;
  value: string;
  onSearch: (text: string) => void;
}): JSX.Element {
  const [typed, setTyped] = useState(value);
  // Only typing starts the pause
  useEffect(() => {
    if (typed === value) return;
    const pause = setTimeout(() => onSearch(typed), 250);
    return () => clearTimeout(pause);
  }, [typed]);
  return (
    <label class="field wide">
      <span>{label}</span>
      <input type="search" value={typed} maxLength={500} onInput={(event) => setTyped(event.currentTarget.value)} />
    </label>
  );
}

export function Choice({
  label,
  value,
  options,
  onChoose,
}: {
  label: string;
  value: string;
  options: readonly { value: string; text: string }[];
  onChoose: (value: string) => void;
}): JSX.Element {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
        {options.map((each) => (
          <option key={each.value} value={each.value}>
            {each.text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Which part of a long list is shown, and the way to the next. */
export function Pager({
  total,
  offset,
  limit,
  what,
  onTurn,
}: {
  total: number;
  offset: number;
  limit: number;
  what: string;
  onTurn: (offset: number) => void;
}): JSX.Element {
  const last = Math.min(total, offset + limit);
  const count = total.toLocaleString('en');
  return (
    <nav class="pager" aria-label={`Pages of ${what}`}>
      <button type="button" disabled={offset === 0} onClick={() => onTurn(Math.max(0, offset - limit))}>
        ← earlier
      </button>
      <span role="status">{total === 0 ? `no ${what}` : `${offset + 1} to ${last} of ${count} ${what}`}</span>
      <button type="button" disabled={last >= total} onClick={() => onTurn(offset + limit)}>
        later →
      </button>
    </nav>
  );
}

/** A table that may be wider than the page; it scrolls by itself. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }): JSX.Element {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
    <section class="scroll figures" tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}

export function Facts({ facts }: { facts: readonly [string, ComponentChildren][] }): JSX.Element {
  return (
    <dl class="facts">
      {facts.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
