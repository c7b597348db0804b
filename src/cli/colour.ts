/**
 * @file Colour where a terminal shows it. NO_COLOR (any text) turns it off and FORCE_COLOR (any text but 0) turns it
 * on, as in other programs. The log of a CI job stays plain.
 */

/** Marks a text for a person; plain where colour is off. */
export interface Colours {
  /** What failed. */
  error(text: string): string;
  /** What a person should know. */
  warning(text: string): string;
  /** The done part of a bar. */
  bar(text: string): string;
}

const plain = (text: string): string => text;

/** No colour at all. */
export const PLAIN: Colours = { error: plain, warning: plain, bar: plain };

/** Not util.styleText, which asks about streams of its own. */
const inColour =
  (code: number) =>
  (text: string): string =>
    `\u001b[${code}m${text}\u001b[39m`;
const COLOURED: Colours = { error: inColour(31), warning: inColour(33), bar: inColour(36) };

/** The colours of a stream under an environment. */
export function coloursOf(
  { isTTY = false }: { isTTY?: boolean | undefined },
  environment: NodeJS.ProcessEnv = process.env,
): Colours {
  const { NO_COLOR, FORCE_COLOR, CI, TERM } = environment;
  if (NO_COLOR !== undefined && NO_COLOR !== '') return PLAIN;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '') return FORCE_COLOR === '0' ? PLAIN : COLOURED;
  return isTTY && TERM !== 'dumb' && (CI === undefined || CI === '' || CI === 'false') ? COLOURED : PLAIN;
}
