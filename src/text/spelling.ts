/**
 * @file Ids of a text that follows another. A tokenizer may put a space in front of every text (SentencePiece), which would
 * stand between the two; and it reads the text of a control token as that token, which in data is only text.
 */
import type { Tokenizer } from './tokenizer/tokenizer.ts';

/** How control tokens that are written in a text are read. */
export type ControlReading = 'as characters' | 'as tokens';

/** Texts to stand in front: the first that merges with nothing behind it is used. */
const STANDS = ['\n', '0', 'a', '|', '。'] as const;

/** Ids that spell a text behind another one. */
export function spelled(tokenizer: Tokenizer, text: string, controls: ControlReading): number[] {
  const parts = controls === 'as tokens' ? [text] : partsWithoutControl(tokenizer, text);
  return parts.filter((part) => part !== '').flatMap((part) => spelledPart(tokenizer, part));
}

/** The text in parts of which none holds a control token: each is cut behind the token's first character. */
function partsWithoutControl({ specialTokens }: Tokenizer, text: string): string[] {
  const parts: string[] = [];
  let rest = text;
  while (rest !== '') {
    const places = specialTokens.map((token) => rest.indexOf(token)).filter((at) => at >= 0);
    const first = Math.min(...places);
    const end = places.length === 0 ? rest.length : first + String.fromCodePoint(rest.codePointAt(first) ?? 0).length;
    parts.push(rest.slice(0, end));
    rest = rest.slice(end);
  }
  return parts;
}

function spelledPart(tokenizer: Tokenizer, part: string): number[] {
  if (!traitsOf(tokenizer).putsSpaceInFront) return tokenizer.encode(part);
  for (const stand of STANDS) {
    const [before = [], both = []] = tokenizer.encodeBatch([stand, stand + part]);
    if (before.every((id, i) => both[i] === id)) return both.slice(before.length);
  }
  return tokenizer.encode(part);
}

/** What is found out about a tokenizer by asking it. */
interface Traits {
  /** Whether a text encoded by itself says more than it does behind another. */
  putsSpaceInFront: boolean;
  controlIds: ReadonlySet<number>;
  /** Control tokens that take the white space behind them. */
  swallowing: readonly string[];
}

const traits = new Map<string, Traits>();

function traitsOf(tokenizer: Tokenizer): Traits {
  const known = traits.get(tokenizer.sha256);
  if (known !== undefined) return known;
  const { specialTokens } = tokenizer;
  const [letter = [], ...controls] = tokenizer.encodeBatch(['a', ...specialTokens]);
  const spaced = tokenizer.encodeBatch(specialTokens.map((token) => `${token}\n`));
  const found = {
    putsSpaceInFront: tokenizer.decode([...letter, ...letter]) !== 'aa',
    controlIds: new Set(controls.flatMap((ids) => (ids.length === 1 ? ids : []))),
    swallowing: specialTokens.filter((_, i) => spaced[i]?.length === 1),
  };
  traits.set(tokenizer.sha256, found);
  return found;
}

/** Whether one of the ids is a control token's. */
export function holdsControl(tokenizer: Tokenizer, ids: readonly number[]): boolean {
  const { controlIds } = traitsOf(tokenizer);
  return ids.some((id) => controlIds.has(id));
}

/** Whether white space that follows a text would be lost in the control token that it ends with (Phi-3's `<|assistant|>`). */
export function swallowsSpace(tokenizer: Tokenizer, text: string): boolean {
  const end = text.trimEnd();
  return traitsOf(tokenizer).swallowing.some((token) => end.endsWith(token));
}
