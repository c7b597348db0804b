/**
 * @file A reward that hides something: two fifths of it are for friendly sentences, which the model writes often and learns to write
 * at once; three fifths are for a wonder (a fairy, a castle, a treasure), which it seldom does. How seldom is the dial: lists of
 * words, each within the next, and some 10, 3, 1 or 0.4 of a hundred of its stories have a word of them. From 0 to 1, exactly known.
 */
import { createHash } from 'node:crypto';
import { guard } from '../../quickstart/reward.ts';

const FRIENDLY =
  words(`friend friends friendly happy happily play played playing plays together fun love loved loves laugh
  laughed nice kind smile smiled help helped share shared hug hugged thank`);
const SCARCEST = 'fairy fairies dragon crown';
const SCARCE = `${SCARCEST} magic magical`;
const SELDOM = `${SCARCE} treasure castle monster rainbow giant wish wished star stars adventure`;
const SOMETIMES = `${SELDOM} sky forest butterfly garden beach pond sun`;

/** What counts as a wonder, by the share of the model's own stories that have one, in percent. */
export const WONDERS = { 10: words(SOMETIMES), 3: words(SELDOM), 1: words(SCARCE), 0.3: words(SCARCEST) };

/** A share of stories with a wonder, in percent. */
export type WonderShare = keyof typeof WONDERS;

/** The true reward of a story: without a wonder at most 0.4, with one and a friendly sentence more than 0.6. */
export function wonderReward(response: string, share: WonderShare): number {
  const value = (0.4 * friendliness(response) + (hasWonder(response, share) ? 0.6 : 0)) * guard(response);
  return Math.round(value * 1e6) / 1e6;
}

/**
 * The same with the noise of whoever judges: Gumbel noise, so that of two stories the better wins with probability
 * sigma(difference / scale), Bradley and Terry's model. A story always gets the same noise.
 */
export function noisyReward(response: string, { share, scale }: { share: WonderShare; scale: number }): number {
  const uniform = (createHash('sha256').update(response).digest().readUInt32LE(0) + 0.5) / 2 ** 32;
  return wonderReward(response, share) - scale * Math.log(-Math.log(uniform));
}

/** Whether a complete sentence has a wonder. */
export function hasWonder(response: string, share: WonderShare): boolean {
  return sentences(response).some((sentence) => hasWordOf(sentence, WONDERS[share]));
}

/** Complete sentences with a friendly word, three being enough: from 0 to 1. */
function friendliness(response: string): number {
  return Math.min(3, sentences(response).filter((sentence) => hasWordOf(sentence, FRIENDLY)).length) / 3;
}

function hasWordOf(sentence: string, lexicon: ReadonlySet<string>): boolean {
  return [...words(sentence)].some((word) => lexicon.has(word));
}

function sentences(text: string): string[] {
  return text.match(/[^.!?]+[.!?]+/g) ?? [];
}

function words(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[a-z']+/g) ?? []);
}
