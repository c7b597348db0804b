/**
 * @file Records of Argilla 2 with the answers of its annotators, as `records.to_json` and `to_list` write them: a ranking of responses, or
 * the choice of one. The response with the best mean place is better than the one with the worst. Drafts and discarded answers do not count.
 */
import { bestOverWorst, numberOf, user } from './rated.ts';
import { type ImportForm, NoRow, objectOf } from './row.ts';

/** Fields that are the prompt, by Argilla's own templates. */
const PROMPTS = ['instruction', 'prompt', 'question', 'input'];

export const argilla: ImportForm = {
  name: 'argilla',
  about: 'Argilla: records with rankings of responses, or with the choice of one',
  rowsOf(record) {
    const { fields, answers } = partsOf(record);
    const promptName = PROMPTS.find((name) => typeof fields[name] === 'string');
    if (promptName === undefined) throw new NoRow('no text', `the record has none of the fields ${PROMPTS.join(', ')}`);
    const candidates = Object.keys(fields).filter((name) => name !== promptName && typeof fields[name] === 'string');
    const places = answers.flatMap((answer) => placesOf(answer, candidates));
    if (places.length === 0) throw new NoRow('no rating', 'no submitted answer ranks or chooses among the responses');
    const rated = candidates.map((name) => {
      const own = places.flatMap((each) => each.get(name) ?? []);
      const mean = own.reduce((sum, place) => sum + place, 0) / own.length;
      return { text: fields[name], rating: own.length === 0 ? null : -mean };
    });
    return [bestOverWorst(user(fields[promptName], promptName), rated)];
  },
};

/** The fields of a record and the values of its submitted answers, whether it is nested or flat. */
function partsOf(record: Record<string, unknown>): { fields: Record<string, unknown>; answers: unknown[] } {
  if (record.fields !== undefined) {
    const responses = Object.values(objectOf(record.responses ?? {}, 'responses')).flat();
    const answers = responses.map((each) => objectOf(each, 'responses'));
    return {
      fields: objectOf(record.fields, 'fields'),
      answers: answers.filter(({ status }) => isSubmitted(status)).map(({ value }) => value),
    };
  }
  const answers = Object.entries(record).flatMap(([name, values]): unknown[] => {
    const question = /^(.+)\.responses$/.exec(name)?.[1];
    if (question === undefined || !Array.isArray(values)) return [];
    const statuses = record[`${question}.responses.status`];
    return values.filter((_, i) => !Array.isArray(statuses) || isSubmitted(statuses[i]));
  });
  const fields = Object.entries(record).filter(([name]) => !name.includes('.') && name !== 'id' && name !== 'status');
  return { fields: Object.fromEntries(fields), answers };
}

function isSubmitted(status: unknown): boolean {
  return status === undefined || status === null || status === 'submitted';
}

/** The place of each response in one answer, from 1: a ranking, or the chosen one before all others; nothing of other questions. */
function placesOf(answer: unknown, candidates: readonly string[]): Map<string, number>[] {
  if (typeof answer === 'string')
    return candidates.includes(answer) ? [new Map(candidates.map((name) => [name, name === answer ? 1 : 2]))] : [];
  if (!Array.isArray(answer)) return [];
  const places = answer.flatMap((each: unknown, i): [string, number][] => {
    if (typeof each === 'string') return [[each, i + 1]];
    const { value, rank } = typeof each === 'object' && each !== null ? (each as Record<string, unknown>) : {};
    const place = numberOf(rank);
    return typeof value === 'string' && place !== null ? [[value, place]] : [];
  });
  const known = places.filter(([name]) => candidates.includes(name));
  return known.length < 2 ? [] : [new Map(known)];
}
