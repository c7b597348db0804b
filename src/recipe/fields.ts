/**
 * @file What the fields of a recipe are made of. Each field's error text is what is allowed there; the loader puts the
 * field, the line and the value before it.
 */
import { z } from 'zod';

/**
 * What it means for a run in progress when a setting changes. Every field says it, in its `meta`; docs/resuming.md is for
 * people.
 *
 * - free: nothing that comes out is different.
 * - warn: the run goes on and says that what is still to come may differ.
 * - extend: it may grow; what is done stays as it is.
 * - measure: every model is measured again.
 * - train, pair, rank, select, sample: from that stage on, the first unfinished iteration is done again, if the user accepts it.
 * - never: it is another run.
 *
 * Where nothing was made with the old value yet, any setting may change.
 */
export const CHANGES = [
  'free',
  'warn',
  'extend',
  'measure',
  'train',
  'pair',
  'rank',
  'select',
  'sample',
  'never',
] as const;
export type Change = (typeof CHANGES)[number];

declare module 'zod' {
  interface GlobalMeta {
    change?: Change;
    /** A path means what lies there: a run compares the content, and the path may change. */
    compared?: 'by content';
  }
}

export function number(allowed: string, inside: (value: number) => boolean) {
  return z.number({ error: allowed }).refine(inside, { error: allowed });
}
export function integer(least: number) {
  const error = least === 0 ? 'a whole number from 0' : `a whole number from ${least}`;
  return z.int({ error }).gte(least, { error });
}
export function oneOf<const Options extends readonly [string, ...string[]]>(options: Options) {
  return z.enum(options, { error: `one of ${options.join(', ')}` });
}
export function path(what: string) {
  return z.string({ error: what }).min(1, { error: what });
}

export function listOf<Item extends z.ZodType>(item: Item, error: string) {
  return z.array(item, { error }).min(1, { error });
}

export const positive = () => number('a number above 0', (value) => value > 0);
export const fromZero = () => number('a number from 0', (value) => value >= 0);
export const deviceName = () =>
  z
    .string({ error: 'cpu, cuda, cuda:N, or auto' })
    .regex(/^(auto|cpu|cuda(:\d+)?)$/, { error: 'cpu, cuda, cuda:N, or auto' });
export const yesOrNo = () => z.boolean({ error: 'true or false' });
export const probability = () => number('a number above 0 and up to 1', (value) => value > 0 && value <= 1);
export const decay = () => number('a number from 0 and below 1', (value) => value >= 0 && value < 1);
export const title = () => z.string({ error: 'a text or null' });

/** How prompts that are texts are read (src/text/reading.ts). */
export const promptReading = () =>
  z
    .enum(['chat', 'raw'], { error: 'one of chat, raw, or null' })
    .nullable()
    .default(null)
    .describe(
      "chat: a prompt that is a text is the user's message, under the chat template. raw: the model continues it. null: chat where the model has a template",
    );

/** Data files: one, or several in this order. */
export const filesOf = () =>
  z.union([path('a path'), listOf(path('a path'), 'a list of paths')], { error: 'a path or a list of paths' });

const column = (what: string) => path('the name of a field').optional().describe(what).meta({ change: 'never' });

/** Names of a data file's fields, by ours. */
export const columnsOf = () =>
  z.strictObject({
    prompt: column('Field that is the prompt'),
    chosen: column('Field that is the better response'),
    rejected: column('Field that is the worse response'),
    messages: column('Field that is a whole conversation'),
    completion: column('Field that is the response to learn, in a supervised fine-tuning'),
    label: column('Field that says whether the response is good, for kto'),
    promptId: column('Field that names the prompt'),
  });

/** Of a server: nothing in it that is a secret or a question. */
export const PLAIN_ADDRESS = /^https?:\/\/[^\s?#@]+$/;

/** Where the key of a server is found: never in the recipe itself. */
export const apiKeyVariable = () =>
  z
    .string({ error: 'a name or null' })
    .regex(/^[A-Z_][A-Z0-9_]*$/, { error: 'the name of an environment variable in capitals, never the key itself' })
    .nullable()
    .default(null)
    .describe('Environment variable that holds the key; null sends none')
    .meta({ change: 'free' });
