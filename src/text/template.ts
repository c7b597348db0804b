/**
 * @file Renders a model's chat template (Jinja, with trim_blocks and lstrip_blocks as in transformers) within budgets.
 * Templates come with downloaded models, so they are untrusted: they are interpreted in a thread of their own, and a
 * template over a budget ends with TextError, never with the process. See docs/decisions/0002-chat-templates.md.
 */
import { TextError } from '../errors.ts';
import { type SyncWorker, syncWorker } from './sync-worker.ts';

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

/** What a template may use; the fixed ones are the sandbox's that transformers renders in, where it has one. */
export const templateBudgets = {
  /** Characters of the template itself; the longest of the well-known ones are about 20 KB. */
  sourceCharacters: 256 * 1024,
  /** Characters of one text or of the whole output. */
  outputCharacters: 1024 * 1024,
  /** Items of a range or list: Jinja2's MAX_RANGE. */
  items: 100_000,
  /** Depth of brackets, blocks and macro calls. */
  nesting: 300,
  /** Depth of lists and objects in each other. */
  valueDepth: 64,
  /** Bytes that the values of one rendering may take together. */
  heapBytes: 128 * 1024 * 1024,
  /** Processor time of one rendering; an ordinary one takes below 1 ms. */
  cpuMs: 120,
} as const;

/** What a template sees beside the messages. */
export interface TemplateVariables {
  /** Whether to open the assistant's turn at the end. */
  addGenerationPrompt: boolean;
  /** Null: undefined in the template, as in transformers. */
  bosToken: string | null;
  eosToken: string | null;
  /** Definitions of tools, in the form that the template expects. @default none */
  tools?: readonly JsonObject[] | undefined;
}

let worker: SyncWorker | null = null;

/**
 * The text of a conversation. Messages and tools reach the template with every field that they have. `strftime_now` is left undefined on purpose: a prompt must not depend on the day.
 * Throws TextError: TEMPLATE_BUDGET (too large, too deep, too slow), TEMPLATE_REFUSED (the template called
 * raise_exception, for example for a role that it does not know), TEMPLATE_INVALID (syntax, unknown filter ...).
 */
export function renderTemplate(
  template: string,
  messages: readonly JsonObject[],
  variables: TemplateVariables,
): string {
  if (template.length > templateBudgets.sourceCharacters) {
    throw budgetError(`it has ${template.length} characters: at most ${templateBudgets.sourceCharacters} are allowed`);
  }
  const tools = variables.tools ?? null;
  checkInput({ messages, tools });
  worker ??= startWorker();
  const answer = worker.call(
    {
      template,
      variables: {
        messages,
        add_generation_prompt: variables.addGenerationPrompt,
        tools,
        documents: null,
        ...(variables.bosToken === null ? {} : { bos_token: variables.bosToken }),
        ...(variables.eosToken === null ? {} : { eos_token: variables.eosToken }),
      },
    },
    { cpuLimitMs: templateBudgets.cpuMs },
  );
  switch (answer.kind) {
    case 'value':
      if (typeof answer.value !== 'string') throw new TypeError('The template worker must answer with a text');
      return answer.value;
    case 'overrun':
      throw budgetError(`it used more than ${templateBudgets.cpuMs} ms of processor time, or its memory`);
    case 'error':
      if (answer.name === 'LimitError') throw budgetError(`it made ${answer.message}`);
      throw answer.name === 'RaisedError'
        ? new TextError(
            'TEMPLATE_REFUSED',
            `Cannot render the conversation (roles ${shown(messages.map(({ role }) => String(role)).join(', ')) || 'none'}): the chat template of the model refuses it: ${shown(answer.message)}`,
          )
        : new TextError(
            'TEMPLATE_INVALID',
            `Cannot render the chat template of the model: ${answer.name}: ${shown(answer.message)}: correct chat_template.jinja or the chat_template of tokenizer_config.json`,
          );
  }
}

/** Refuses a conversation that is larger or deeper than any rendering may be, before it is copied to the thread. */
function checkInput(input: unknown): void {
  const { outputCharacters, valueDepth } = templateBudgets;
  let characters = 0;
  const measure = (value: unknown, depth: number): void => {
    if (depth > valueDepth) throw budgetError(`the messages are nested deeper than ${valueDepth}`);
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

function startWorker(): SyncWorker {
  return syncWorker(new URL('./template-worker.mjs', import.meta.url), {
    workerData: {
      limits: {
        output: templateBudgets.outputCharacters,
        range: templateBudgets.items,
        nesting: templateBudgets.nesting,
        valueSize: 4 * templateBudgets.outputCharacters,
        valueDepth: templateBudgets.valueDepth,
        indent: 64,
        heapBytes: templateBudgets.heapBytes,
      },
    },
    // The stack holds `nesting` levels of the interpreter with room to spare; deeper recursion is a RangeError. The heap
    // is far above its budget: a thread that ran into its end would die without a word.
    resourceLimits: { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
  });
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
