/**
 * @file Data sets of prompts with several responses and ratings or ranks: the best response over the worst. Responses that are
 * rated alike give no pair.
 */
import { type ImportedMessage, type ImportedRow, type ImportForm, listOf, NoRow, objectOf, textOf } from './row.ts';

/** UltraFeedback's original rows (openbmb/UltraFeedback): completions with an overall score. */
export const ultraFeedback: ImportForm = {
  name: 'ultrafeedback',
  about: "UltraFeedback's original rows: completions with overall_score, or the mean of their aspects' ratings",
  rowsOf({ instruction, completions }) {
    const rated = listOf(completions, 'completions').map((each, i) => {
      const completion = objectOf(each, `completions[${i}]`);
      return {
        text: completion.response,
        rating: numberOf(completion.overall_score) ?? aspects(completion.annotations),
      };
    });
    return [bestOverWorst(user(instruction, 'instruction'), rated)];
  },
};

/**
 * HelpSteer: of version 3 and of HelpSteer2-preference two responses and which one is better, from -3 to 3; of versions 1 and 2
 * a row for each response with its helpfulness, those of a prompt behind each other.
 */
export const helpSteer: ImportForm = {
  name: 'helpsteer',
  about: 'HelpSteer 1, 2 and 3: responses with their helpfulness, or two with a preference',
  promptOf: ({ prompt, response }) => (typeof prompt === 'string' && response !== undefined ? prompt : null),
  rowsOf(row, more) {
    const before = Array.isArray(row.context)
      ? row.context.map(messageOf)
      : taggedTurns(textOf(row.prompt ?? row.context, 'prompt'));
    if (row.response !== undefined) {
      const rated = [row, ...more].map((each) => ({ text: each.response, rating: numberOf(each.helpfulness) }));
      return [bestOverWorst(before, rated)];
    }
    const better = numberOf(row.overall_preference) ?? numberOf(row.preference_strength);
    if (better === null) throw new NoRow('no rating', 'the row has no overall_preference or preference_strength');
    // Below 0 the first is better.
    const rated = [
      { text: row.response1 ?? row.response_1, rating: -better },
      { text: row.response2 ?? row.response_2, rating: better },
    ];
    return [bestOverWorst(before, rated)];
  },
};

/** Nectar (berkeley-nest/Nectar): a transcript as prompt, and seven answers with their ranks, 1 the best. */
export const nectar: ImportForm = {
  name: 'nectar',
  about: 'Nectar: answers with their ranks',
  rowsOf({ prompt, answers }) {
    const rated = listOf(answers, 'answers').map((each, i) => {
      const { answer, rank } = objectOf(each, `answers[${i}]`);
      const place = numberOf(rank);
      return { text: answer, rating: place === null ? null : -place };
    });
    return [bestOverWorst(transcript(textOf(prompt, 'prompt')), rated)];
  },
};

/** distilabel's generations with ratings, as its pipelines and data sets on the Hub have them. */
export const ratedGenerations: ImportForm = {
  name: 'distilabel',
  about: 'distilabel: instruction, generations, ratings',
  rowsOf({ instruction, prompt, generations, ratings, rating }) {
    const values = listOf(ratings ?? rating, 'ratings');
    const rated = listOf(generations, 'generations').map((text, i) => ({ text, rating: numberOf(values[i]) }));
    return [bestOverWorst(user(instruction ?? prompt, 'instruction'), rated)];
  },
};

/** The best response over the worst of those that have a text and a rating; of equal ones the first. */
export function bestOverWorst(
  prompt: ImportedMessage[],
  responses: readonly { text: unknown; rating: number | null }[],
): ImportedRow {
  const usable = responses.flatMap(({ text, rating }) =>
    typeof text === 'string' && text.trim() !== '' && rating !== null ? [{ text, rating }] : [],
  );
  const [best, ...rest] = usable.toSorted((a, b) => b.rating - a.rating);
  const worst = rest.at(-1);
  if (best === undefined || worst === undefined)
    throw new NoRow(
      'no two rated responses',
      `${usable.length} of ${responses.length} responses have a text and a rating`,
    );
  if (best.rating === worst.rating) throw new NoRow('all rated alike', `every response has the rating ${best.rating}`);
  if (best.text === worst.text)
    throw new NoRow('chosen equals rejected', 'the best and the worst response are the same text');
  return { kind: 'pair', prompt, chosen: best.text, rejected: worst.text };
}

/** A number, also as text; not what is none, such as N/A. */
export function numberOf(value: unknown): number | null {
  if (typeof value === 'bigint') return Number(value);
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}

/** The mean of the aspects' ratings, where there are some. */
function aspects(value: unknown): number | null {
  if (typeof value !== 'object' || value === null) return null;
  const ratings = Object.values(value).flatMap((each: unknown) => {
    const rating = typeof each === 'object' && each !== null ? numberOf((each as { Rating?: unknown }).Rating) : null;
    return rating === null ? [] : [rating];
  });
  return ratings.length === 0 ? null : ratings.reduce((sum, rating) => sum + rating, 0) / ratings.length;
}

export function user(value: unknown, field: string): ImportedMessage[] {
  return [{ role: 'user', content: textOf(value, field) }];
}

function messageOf(value: unknown, index: number): ImportedMessage {
  const { role, content } = objectOf(value, `context[${index}]`);
  return { role: textOf(role, `context[${index}].role`), content: textOf(content, `context[${index}].content`) };
}

/** Turns that NVIDIA's tags part: the first is the user's, and it ends where the assistant is to speak. */
function taggedTurns(text: string): ImportedMessage[] {
  const [first = '', ...others] = text.split(/\n?<extra_id_1>(?=User\n|Assistant\n)/);
  const messages = others.map((turn) => {
    const [who = '', ...lines] = turn.split('\n');
    return { role: who.toLowerCase(), content: lines.join('\n').trim() };
  });
  const turns = [{ role: 'user', content: first.trim() }, ...messages];
  return turns.at(-1)?.content === '' ? turns.slice(0, -1) : turns;
}

/** Turns of `Human: ... Assistant: ...`; it ends where the assistant is to speak. */
function transcript(text: string): ImportedMessage[] {
  const turns = [...text.matchAll(/(?:^|\n\n)(Human|Assistant): ?([\s\S]*?)(?=\n\n(?:Human|Assistant):|$)/g)];
  const messages = turns.map(([, who, content = '']) => ({
    role: who === 'Human' ? 'user' : 'assistant',
    content: content.trim(),
  }));
  const open = messages.at(-1);
  const asked = open?.role === 'assistant' && open.content === '' ? messages.slice(0, -1) : messages;
  return asked.length === 0 ? user(text, 'prompt') : asked;
}
