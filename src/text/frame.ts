/**
 * @file Where a response stands in its conversation. A template may write more before a response than the open turn that
 * is sampled from (an empty <think> block), or less (where the open turn begins with <think>), and a prompt and a whole
 * conversation can agree in a letter by chance. So the place is found by rendering a text of our own in place of the response:
 * what stands before and after it is the frame.
 */
import { type ChatPrompt, conversationText, messageOf, type Prompt, type Response } from './conversation.ts';
import { renderingError, shownPart } from './fault.ts';
import { isEmpty, saysMore } from './message.ts';
import type { Message } from './template.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

/** How a response follows a prompt: in a turn of its own, or going on with the assistant's turn that the prompt ends in. */
export type Turn = 'new' | 'continued';

/** What a template writes around a response. */
export interface Frame {
  prompt: ChatPrompt;
  turn: Turn;
  /** The prompt as the policy continues it. */
  open: string;
  before: string;
  after: string;
}

/** What a template made of a response's text: nothing, other white space around it, or another text. */
export type Change = 'none' | 'space' | 'text';

/** A response in its conversation. */
export interface Place {
  /** What is read: all that stands before the response. */
  before: string;
  /** The response as the template writes it, scored. */
  own: string;
  /** Whether `own` is a text of the data, in which a control token is only text; else the template wrote some of it. */
  isPlain: boolean;
  /** White space that the template writes between the response and its end token: scored too, and mostly empty. */
  tail: string;
  endId: number;
  change: Change;
}

/** How the response to a prompt is written. */
export function turnAfter(prompt: Prompt): Turn {
  return prompt.kind === 'chat' && prompt.messages.at(-1)?.role === 'assistant' ? 'continued' : 'new';
}

/** A prompt as the policy continues it. */
export function openText(tokenizer: Tokenizer, prompt: Prompt): string {
  if (prompt.kind === 'text') return withStartOnce(tokenizer, prompt.text);
  if (turnAfter(prompt) === 'continued') return frameOf(tokenizer, prompt, 'continued').open;
  return withStartOnce(tokenizer, conversationText(tokenizer, prompt.messages, 'open', prompt.tools));
}

/** The frame of a response to a prompt. TextError CONVERSATION_UNRENDERABLE where it cannot be found. */
export function frameOf(tokenizer: Tokenizer, prompt: ChatPrompt, turn: Turn): Frame {
  const standIn = unusedText(prompt);
  const framed = wholeText(tokenizer, { prompt, turn }, { role: 'assistant', content: standIn });
  const at = framed.indexOf(standIn);
  if (at < 0 || framed.includes(standIn, at + 1)) {
    throw renderingError({
      problem: 'the response cannot be told apart from the rest',
      field: 'chosen',
      detail: `the chat template writes it ${at < 0 ? 'nowhere' : 'several times'}`,
    });
  }
  const [before, after] = [framed.slice(0, at), framed.slice(at + standIn.length)];
  const open =
    turn === 'continued'
      ? before
      : withStartOnce(tokenizer, conversationText(tokenizer, prompt.messages, 'open', prompt.tools));
  return { prompt, turn, open, before, after };
}

/** A response's place. TextError CONVERSATION_UNRENDERABLE where the template writes it so that it cannot be told apart. */
export function placeOf(tokenizer: Tokenizer, frame: Frame, response: Response): Place {
  const message = messageOf(response);
  const whole = wholeText(tokenizer, frame, message);
  const isPlain = !saysMore(message);
  const found = isPlain ? plainSpan(frame, whole, message.content ?? '') : markedSpan(tokenizer, frame, whole);
  if (found === null) {
    throw renderingError({
      problem: 'the response cannot be told apart from the rest',
      field: 'chosen',
      detail: `around ${shownPart(message.content)} the chat template writes something else than around other texts`,
    });
  }
  const before = whole.slice(0, found.begin);
  const own = whole.slice(found.begin, found.end);
  const change = changeOf(own.slice(found.lead), message.content ?? '', isPlain);
  return { before, own, isPlain, change, ...endOf(tokenizer, whole.slice(found.end)) };
}

/** The place of a response that continues a plain text. One that ends with an end token's text has its end token. */
export function placeInText(tokenizer: Tokenizer, before: string, { text }: Response): Place {
  const end = tokenizer.stopTokens.findIndex((token) => token !== '' && text.endsWith(token));
  const own = end < 0 ? text : text.slice(0, -(tokenizer.stopTokens[end] ?? '').length);
  const endId = tokenizer.stopIds[end] ?? tokenizer.eosId;
  return { before: withStartOnce(tokenizer, before), own, tail: '', endId, isPlain: true, change: 'none' };
}

/** A span of the whole text; `lead`: white space at its beginning that the template wrote. */
interface Span {
  begin: number;
  end: number;
  lead: number;
}

function plainSpan({ open, before, after }: Frame, whole: string, content: string): Span | null {
  if (!whole.endsWith(after)) return null;
  const end = whole.length - after.length;
  const lead = before.length - leadStart(open, before);
  const spans = [
    { begin: before.length - lead, end, lead },
    { begin: open.length, end, lead: 0 },
  ].filter(({ begin, lead: space }, i) => begin + space <= end && whole.startsWith(i === 0 ? before : open));
  const isExact = ({ begin, lead: space }: Span): boolean => whole.slice(begin + space, end) === content;
  return spans.find(isExact) ?? spans[0] ?? null;
}

/**
 * Where the response begins that the template puts after white space: a model writes that space itself, in one token with
 * the word behind it. All else that stands there is a header.
 */
function leadStart(open: string, before: string): number {
  if (before.startsWith(open) && before.slice(open.length).trim() === '') return open.length;
  return before.startsWith(open) ? before.length - (/ *$/.exec(before)?.[0].length ?? 0) : before.length;
}

/** A message with reasoning or calls: what follows the open turn, tags included, up to the turn's end. */
function markedSpan(tokenizer: Tokenizer, { open, before, after }: Frame, whole: string): Span | null {
  const begins = [before.slice(0, leadStart(open, before)), open].filter((text) => whole.startsWith(text));
  if (begins.length === 0) return null;
  const begin = Math.max(...begins.map(({ length }) => length));
  const length = whole.length - after.length;
  if (whole.endsWith(after) && length >= begin) return { begin, end: length, lead: 0 };
  // Another end than a text has: up to the last end token that stands there.
  const end = Math.max(...tokenizer.stopTokens.map((token) => (token === '' ? -1 : whole.lastIndexOf(token))));
  return { begin, end: end < begin ? whole.length : end, lead: 0 };
}

function changeOf(written: string, content: string, isPlain: boolean): Change {
  if (written === content) return 'none';
  if (isPlain ? written.trim() === content.trim() : written.includes(content.trim())) return isPlain ? 'space' : 'none';
  return 'text';
}

/**
 * The end of a response: the end token that the template writes, and white space before it. Marks of its own that end
 * nothing in sampling give way to the model's end token.
 */
function endOf({ stopTokens, stopIds, eosId }: Tokenizer, after: string): Pick<Place, 'tail' | 'endId'> {
  let [at, endId] = [after.length, eosId];
  for (const [i, token] of stopTokens.entries()) {
    const found = token === '' ? -1 : after.indexOf(token);
    if (found >= 0 && found < at) [at, endId] = [found, stopIds[i] ?? eosId];
  }
  return { tail: /^\s*/.exec(after.slice(0, at))?.[0] ?? '', endId };
}

function wholeText(tokenizer: Tokenizer, { prompt, turn }: Pick<Frame, 'prompt' | 'turn'>, message: Message): string {
  const { messages, tools } = prompt;
  const all = turn === 'new' ? [...messages, message] : continued(messages, message);
  return withStartOnce(tokenizer, conversationText(tokenizer, all, 'closed', tools));
}

/** The messages with the last one going on. */
function continued(messages: readonly Message[], message: Message): Message[] {
  const last = messages.at(-1);
  if (last === undefined || saysMore(message) || callsTools(last)) {
    throw renderingError({
      problem: 'the prompt ends in a turn that cannot be continued',
      field: 'prompt',
      detail: `its last message is ${shownPart(last)}, and only a text can go on in a text`,
    });
  }
  return [...messages.slice(0, -1), { ...last, content: (last.content ?? '') + (message.content ?? '') }];
}

function callsTools(message: Message): boolean {
  return !isEmpty(message.tool_calls) || !isEmpty(message.function_call);
}

/** A text that stands nowhere in the prompt. */
function unusedText(prompt: ChatPrompt): string {
  const taken = JSON.stringify(prompt);
  let text = 'StandIn';
  for (let n = 0; taken.includes(text); n++) text = `StandIn${n}`;
  return text;
}

/** A text that begins with the start token, with white space before it or several times, begins with it once. */
export function withStartOnce({ bosToken }: Tokenizer, text: string): string {
  if (bosToken === null || bosToken === '') return text;
  let rest = text;
  while (rest.trimStart().startsWith(bosToken)) rest = rest.trimStart().slice(bosToken.length);
  return rest === text ? text : bosToken + rest;
}
