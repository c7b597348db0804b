/** @file From the votes of an arena: a rating of each contender with its interval, and rows to train on. */
import { ratingsOf, type Strength } from '../evaluate/bradley-terry.ts';
import { type ClusteredMatch, clusteredStrengths } from '../evaluate/clustered-strengths.ts';
import { type Arena, type ArenaPrompt, boutsOf } from './arena.ts';
import type { Vote, VoteEvent, Votes } from './votes.ts';

/** Of the intervals: the same votes give the same ones. */
const SEED = 0;

/** One contender. */
export interface Standing {
  name: string;
  source: string;
  /** 400 points are odds of ten to one; the mean of all is 1000. */
  rating: Strength;
  wins: number;
  ties: number;
  losses: number;
}

export interface Standings {
  /** Best first. */
  contenders: Standing[];
  votes: number;
  /** Votes that say nothing. */
  skipped: number;
  /** Share of the decisions for what stood on the left; null before the first. */
  leftShare: number | null;
}

/**
 * Ratings by Bradley and Terry of all votes that stand; ties and two bad answers are half a win for each. Votes of one annotator, and on
 * one prompt, do not count as independent.
 */
export function standingsOf(arena: Arena, { standing }: Pick<Votes, 'standing'>): Standings {
  const bouts = new Map(boutsOf(arena).map((bout) => [bout.id, bout]));
  const counts = arena.contenders.map(() => ({ wins: 0, ties: 0, losses: 0 }));
  const matches: ClusteredMatch[] = [];
  for (const vote of standing) {
    const bout = bouts.get(vote.bout);
    const won = wonBy(vote);
    if (bout === undefined || won === null) continue;
    for (const first of bout.contenders[0])
      for (const second of bout.contenders[1]) {
        matches.push({ first, second, won, prompt: bout.prompt.promptId, annotator: vote.annotator });
        for (const [contender, share] of [
          [first, won],
          [second, 1 - won],
        ] as const) {
          const count = counts[contender];
          if (count !== undefined) count[share === 1 ? 'wins' : share === 0 ? 'losses' : 'ties'] += 1;
        }
      }
  }
  const ratings = ratingsOf(clusteredStrengths(arena.contenders.length, matches, { seed: SEED }));
  const none: Strength = { value: Number.NaN, low: Number.NaN, high: Number.NaN };
  const contenders = arena.contenders.map((contender, index) => ({
    ...contender,
    rating: ratings[index] ?? none,
    ...(counts[index] ?? { wins: 0, ties: 0, losses: 0 }),
  }));
  const decided = standing.filter(({ choice }) => choice === 'first' || choice === 'second');
  return {
    contenders: contenders.sort((a, b) => b.rating.value - a.rating.value),
    votes: standing.length,
    skipped: standing.filter(({ choice }) => choice === 'skip').length,
    leftShare:
      decided.length === 0 ? null : decided.filter(({ choice, left }) => choice === left).length / decided.length,
  };
}

/** What a vote gives to the first text; null where it says nothing. */
function wonBy({ choice }: Vote): number | null {
  switch (choice) {
    case 'first':
      return 1;
    case 'second':
      return 0;
    case 'tie':
    case 'both-bad':
      return 0.5;
    case 'skip':
      return null;
  }
}

/** A row in TRL's form, which `data.train` of a recipe reads. */
export type TrainingRow =
  | { prompt_id: string; prompt: string; chosen: string; rejected: string }
  | { prompt_id: string; prompt: unknown[]; chosen: unknown[]; rejected: unknown[] };

/** A row for each bout that more votes say one thing of than the other; a tie is none. */
export function rowsOfVotes(arena: Arena, { standing }: Pick<Votes, 'standing'>): TrainingRow[] {
  const balances = new Map<string, number>();
  for (const { bout, choice } of standing) {
    const says = choice === 'first' ? 1 : choice === 'second' ? -1 : 0;
    balances.set(bout, (balances.get(bout) ?? 0) + says);
  }
  return boutsOf(arena).flatMap(({ id, prompt, texts }) => {
    const balance = balances.get(id) ?? 0;
    if (balance === 0) return [];
    const [chosen, rejected] = balance > 0 ? texts : [texts[1], texts[0]];
    return [rowOf(prompt, chosen, rejected)];
  });
}

function rowOf({ promptId, prompt }: ArenaPrompt, chosen: string, rejected: string): TrainingRow {
  if (prompt.kind === 'text') return { prompt_id: promptId, prompt: prompt.text, chosen, rejected };
  const answer = (content: string): unknown[] => [{ role: 'assistant', content }];
  return { prompt_id: promptId, prompt: prompt.messages, chosen: answer(chosen), rejected: answer(rejected) };
}

/** The whole log, each event with its prompt, its texts and who wrote them. */
export function eventsOfVotes(arena: Arena, { events }: Pick<Votes, 'events'>): Record<string, unknown>[] {
  const bouts = new Map(boutsOf(arena).map((bout) => [bout.id, bout]));
  const named = (indices: readonly number[] = []): string[] =>
    indices.map((index) => arena.contenders[index]?.name ?? '');
  return events.map((event: VoteEvent) => {
    const bout = bouts.get(event.bout);
    if (bout === undefined) return { ...event };
    const { prompt, texts, contenders } = bout;
    return { ...event, promptId: prompt.promptId, prompt: prompt.prompt, texts, contenders: contenders.map(named) };
  });
}
