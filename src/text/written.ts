/**
 * @file Whether a chat template writes what a conversation holds. Templates skip fields that they do not know, and even whole
 * messages, so what was said could be lost without a sign. Every text is looked for in the rendering; what is not found there
 * is looked for again with a text of our own in its place, since templates may write it in another way.
 */
import type { TextError } from '../errors.ts';
import { type ChatPrompt, conversationText, messageOf, type Response } from './conversation.ts';
import { type RenderingFault, renderingError, shownPart } from './fault.ts';
import { isEmpty, otherFields, REASONING_FIELDS, SPOKEN_FIELDS } from './message.ts';
import type { JsonObject, JsonValue, Message } from './template.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

/** What a template does not write although it knows it, or need not. */
export interface Omissions {
  /** Reasoning of earlier turns, which templates leave out of the history on purpose. */
  earlierReasoning: boolean;
  /** Texts of the prompt that the template writes in another way. */
  changedMessages: number;
  /** Fields of messages (ids, names ...) that the template does not mention. */
  unusedFields: string[];
}

/** The roles that every template is taken to know; others it has to mention. */
const COMMON_ROLES = ['system', 'user', 'assistant', 'tool'];

/**
 * Checks a prompt and the responses to it (chosen, rejected). `text` is the prompt as rendered.
 * Throws TextError CONVERSATION_UNRENDERABLE for what the template leaves out.
 */
export function checkWritten(
  tokenizer: Tokenizer,
  prompt: ChatPrompt,
  { text, responses }: { text: string; responses: readonly Response[] },
): Omissions {
  const omissions: Omissions = { earlierReasoning: false, changedMessages: 0, unusedFields: [] };
  const unused = new Set<string>();
  const check = new Check(tokenizer, prompt);
  for (const [index, message] of prompt.messages.entries()) {
    const field = `prompt[${index}]`;
    checkRole(tokenizer, message, field);
    const { content } = message;
    if (typeof content === 'string' && !text.includes(content.trim())) {
      if (!check.writes(prompt.messages, index, 'content')) throw leftOut(`${field}.content`, content);
      omissions.changedMessages += 1;
    }
    for (const name of otherFields(message)) {
      if (!SPOKEN_FIELDS.includes(name)) {
        if (tokenizer.chatTemplate?.includes(name) !== true) unused.add(name);
      } else if (!check.writes(prompt.messages, index, name)) {
        if (!isReasoning(name) || !check.writes(prompt.messages.slice(0, index + 1), index, name))
          throw leftOut(`${field}.${name}`, message[name]);
        omissions.earlierReasoning = true;
      }
    }
  }
  if (!isEmpty(prompt.tools) && !check.writesTools()) throw leftOut('tools', prompt.tools);
  for (const [index, response] of responses.entries()) {
    const message = messageOf(response);
    const messages = [...prompt.messages, message];
    for (const name of otherFields(message)) {
      if (!SPOKEN_FIELDS.includes(name)) {
        if (tokenizer.chatTemplate?.includes(name) !== true) unused.add(name);
      } else if (!check.writes(messages, messages.length - 1, name))
        throw leftOut(`${index === 0 ? 'chosen' : 'rejected'}.${name}`, message[name]);
    }
  }
  return { ...omissions, unusedFields: [...unused] };
}

function isReasoning(name: string): boolean {
  return REASONING_FIELDS.some((each) => each === name);
}

function checkRole({ chatTemplate }: Tokenizer, { role }: Message, field: string): void {
  if (COMMON_ROLES.includes(role) || (role !== '' && chatTemplate?.includes(role) === true)) return;
  throw renderingError({
    problem: 'the chat template does not know the role',
    field: `${field}.role`,
    detail: `it is ${shownPart(role)}, and the template speaks of ${COMMON_ROLES.join(', ')} alone`,
  });
}

function leftOut(field: string, value: unknown): TextError {
  const fault: RenderingFault = {
    problem: 'the chat template leaves it out',
    field,
    detail: `${shownPart(value)} stands nowhere in what the model would read`,
  };
  return renderingError(fault);
}

/** Looks for marked values in renderings of a conversation. */
class Check {
  readonly #tokenizer: Tokenizer;
  readonly #prompt: ChatPrompt;
  readonly #mark: string;

  constructor(tokenizer: Tokenizer, prompt: ChatPrompt) {
    this.#tokenizer = tokenizer;
    this.#prompt = prompt;
    const taken = JSON.stringify(prompt).toLowerCase();
    let mark = 'mark';
    for (let n = 0; taken.includes(mark); n++) mark = `mark${n}x`;
    this.#mark = mark;
  }

  /** Whether the rendering shows every part of a message's field. */
  writes(messages: readonly Message[], index: number, name: string): boolean {
    const marked = marks(this.#mark);
    const changed = messages.map((message, i) =>
      i === index ? { ...message, [name]: marked.value(message[name] ?? null) } : message,
    );
    return this.#shows(changed, this.#prompt.tools, marked.all);
  }

  writesTools(): boolean {
    const { messages, tools = [] } = this.#prompt;
    const marked = marks(this.#mark);
    return this.#shows(
      messages,
      tools.map((tool) => marked.call(tool)),
      marked.all,
    );
  }

  #shows(messages: readonly Message[], tools: readonly JsonObject[] | undefined, wanted: readonly string[]): boolean {
    const text = conversationText(this.#tokenizer, messages, 'closed', tools).toLowerCase();
    return wanted.every((mark) => text.includes(mark));
  }
}

/** Changes values so that each spoken part of them carries a mark of its own; `all` are the marks that were given out. */
function marks(prefix: string) {
  const all: string[] = [];
  const next = (): string => {
    const mark = `${prefix}${all.length}z`;
    all.push(mark);
    return mark;
  };
  const value = (given: JsonValue): JsonValue => {
    if (typeof given === 'string') return given + next();
    if (Array.isArray(given)) return (given as readonly JsonValue[]).map(value);
    return typeof given === 'object' && given !== null ? call(given as JsonObject) : given;
  };
  /** A call or a definition of a tool: its name, and the arguments that it has. */
  const call = (given: JsonObject): JsonObject => {
    const { function: inner, name, arguments: given_arguments } = given;
    if (typeof inner === 'object' && inner !== null && !Array.isArray(inner))
      return { ...given, function: call(inner as JsonObject) };
    return {
      ...given,
      ...(typeof name === 'string' ? { name: name + next() } : {}),
      ...(given_arguments === undefined ? {} : { arguments: markedArguments(given_arguments, next) }),
    };
  };
  return { all, value, call };
}

/** Arguments with one more, also where they are written as JSON. */
function markedArguments(given: JsonValue, next: () => string): JsonValue {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) {
    const mark = next();
    return { ...given, [mark]: mark };
  }
  if (typeof given !== 'string') return given;
  try {
    const parsed: unknown = JSON.parse(given);
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return given + next();
    const mark = next();
    return JSON.stringify({ ...parsed, [mark]: mark });
  } catch {
    return given + next();
  }
}
