/**
 * @file Renders a model's chat template as transformers does. Templates come with downloaded models, so they are untrusted:
 * they run in an interpreter of our own (jinja/), in which every operation is paid for, and a template over a budget ends with
 * TextError, never with the process. See docs/decisions/0002-chat-templates.md.
 */
import { TextError } from '../errors.ts';
import { RaisedByTemplate, TemplateFault } from './jinja/faults.ts';
import { BudgetExceeded } from './jinja/meter.ts';
import { renderJinja } from './jinja/render.ts';

/** A value of JSON. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;

/** An object of JSON: a tool's definition, or a message with more than text (`tool_calls`, `reasoning_content` ...). */
export interface JsonObject {
  readonly [field: string]: JsonValue;
}

/** One turn of a conversation, with whatever else it holds (`tool_calls`, `reasoning_content` ...). */
export interface Message extends JsonObject {
  readonly role: string;
  /** Null where a turn has no text, as one that only calls tools. */
  readonly content: string | null;
}

/** What one rendering may use. */
export const templateBudgets = {
  /** Characters of the template itself; the longest of the well-known ones are about 20 KB. */
  sourceCharacters: 256 * 1024,
  /** Characters of one text, of all messages together or of the whole output. */
  outputCharacters: 1024 * 1024,
  /** Items of a range or list: Jinja2's MAX_RANGE. */
  items: 100_000,
  /** Depth of brackets, blocks and macro calls, and of lists in lists. */
  nesting: 300,
  /** Depth of lists and objects in the messages. */
  messageDepth: 64,
  /** Work: an operation is one step, a text one for 32 characters. An ordinary rendering takes some thousands. */
  steps: 1_000_000,
} as const;

/** What a template sees beside the messages. */
export interface TemplateVariables {
  /** Whether to open the assistant's turn at the end. */
  addGenerationPrompt: boolean;
  /** Null: undefined in the template, as in transformers. */
  bosToken: string | null;
  eosToken: string | null;
  /** Definitions of tools, in the form that the template expects. @default none */
  tools?: readonly JsonObject[] | null | undefined;
}

/**
 * The text of a conversation, as transformers renders it. Messages and tools reach the template with every field that they
 * have. `strftime_now` is undefined on purpose: a prompt must not depend on the day.
 * Throws TextError: TEMPLATE_BUDGET (too large, too deep, too much work), TEMPLATE_REFUSED (the template called
 * raise_exception, for example for a role that it does not know), TEMPLATE_INVALID (syntax, a use of what is undefined ...).
 */
export function renderTemplate(
  template: string,
  messages: readonly JsonObject[],
  { addGenerationPrompt, bosToken, eosToken, tools = null }: TemplateVariables,
): string {
  const { sourceCharacters, outputCharacters, items, nesting, steps } = templateBudgets;
  if (template.length > sourceCharacters) {
    throw budgetError(`it has ${template.length} characters: at most ${sourceCharacters} are allowed`);
  }
  checkInput({ messages, tools });
  const variables = {
    messages: messages.map(withReasoning),
    add_generation_prompt: addGenerationPrompt,
    tools,
    documents: null,
    bos_token: bosToken ?? undefined,
    eos_token: eosToken ?? undefined,
  };
  try {
    return renderJinja(template, variables, { steps, characters: outputCharacters, items, nesting });
  } catch (error) {
    throw textErrorOf(error, messages);
  }
}

/** Names that a message's reasoning is passed under: transformers fills the first two from any of them. */
const REASONING_FIELDS = ['reasoning_content', 'thinking', 'reasoning'];

function withReasoning(message: object): object {
  const fields = new Map<string, unknown>(Object.entries(message));
  const field = REASONING_FIELDS.find((name) => (fields.get(name) ?? null) !== null);
  if (field === undefined) return message;
  const reasoning = fields.get(field);
  return { thinking: reasoning, ...message, reasoning_content: reasoning };
}

function textErrorOf(error: unknown, messages: readonly JsonObject[]): unknown {
  if (error instanceof BudgetExceeded) return budgetError(`it made ${error.message}`);
  if (error instanceof RaisedByTemplate) {
    const roles = shown(messages.map(({ role }) => String(role)).join(', ')) || 'none';
    return new TextError(
      'TEMPLATE_REFUSED',
      `Cannot render the conversation (roles ${roles}): the chat template of the model refuses it: ${shown(error.message)}`,
    );
  }
  if (!(error instanceof TemplateFault)) return error;
  const place = error.line === null ? '' : `line ${error.line}: `;
  return new TextError(
    'TEMPLATE_INVALID',
    `Cannot render the chat template of the model: ${place}${shown(error.message)}: correct chat_template.jinja or the chat_template of tokenizer_config.json`,
  );
}

/** Refuses a conversation that is larger or deeper than any rendering may be, before it is copied to the thread. */
function checkInput(input: unknown): void {
  const { outputCharacters, messageDepth } = templateBudgets;
  let characters = 0;
  const measure = (value: unknown, depth: number): void => {
    if (depth > messageDepth) throw budgetError(`the messages are nested deeper than ${messageDepth}`);
    if (typeof value === 'string') characters += value.length;
    else if (typeof value === 'object' && value !== null) {
      for (const [name, item] of Object.entries(value)) {
        characters += Array.isArray(value) ? 1 : name.length;
        measure(item, depth + 1);
      }
    }
  };
  measure(input, 0);
  if (characters > outputCharacters) {
    throw budgetError(`the messages have ${characters} characters: at most ${outputCharacters} are allowed`);
  }
}

/** A template's own words, on one line of bounded length: they end up on a terminal. */
function shown(text: string): string {
  const line = text.replaceAll(/\p{Cc}+/gu, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

function budgetError(reason: string): TextError {
  return new TextError(
    'TEMPLATE_BUDGET',
    `Cannot render the chat template of the model within its budget: ${reason}: use a chat template that you trust and know`,
  );
}
