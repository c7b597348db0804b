/**
 * @file Label Studio's tasks of two texts with annotations of the Pairwise tag. The selections of several people are counted, and what
 * most of them prefer is chosen.
 */
import { bestOverWorst } from './rated.ts';
import { type ImportedMessage, type ImportForm, listOf, NoRow, objectOf, textOf } from './row.ts';

/** Names that a field with the prompt has. */
const PROMPTS = ['prompt', 'instruction', 'question', 'input', 'context', 'messages'];

/** Label Studio's JSON export of tasks with the Pairwise tag. */
export const labelStudio: ImportForm = {
  name: 'label-studio',
  about: "Label Studio's JSON export of a Pairwise project",
  rowsOf({ data, annotations }) {
    const { prompt, texts } = readTexts(objectOf(data, 'data'));
    const selected = listOf(annotations, 'annotations').flatMap((each, i) => {
      const { result, was_cancelled: isSkipped } = objectOf(each, `annotations[${i}]`);
      if (isSkipped === true) return [];
      return listOf(result, `annotations[${i}].result`).flatMap((part) => selectionOf(part, texts));
    });
    if (selected.length === 0) throw new NoRow('no selection', 'no annotation selects a side');
    const rated = texts.map(({ name, text }) => ({ text, rating: selected.filter((each) => each === name).length }));
    return [bestOverWorst(prompt, rated)];
  },
};

/** A response by its field. */
interface NamedText {
  name: string;
  text: string;
}

/** The prompt, and the responses in their order. */
function readTexts(fields: Record<string, unknown>): { prompt: ImportedMessage[]; texts: NamedText[] } {
  const name = PROMPTS.find((each) => fields[each] !== undefined);
  if (name === undefined)
    throw new NoRow(
      'no prompt',
      `no field is one of ${PROMPTS.join(', ')}: there are ${Object.keys(fields).join(', ')}`,
    );
  const texts = Object.entries(fields).flatMap(([field, value]): NamedText[] =>
    field !== name && typeof value === 'string' && value.trim() !== '' ? [{ name: field, text: value }] : [],
  );
  return { prompt: promptOf(fields[name], name), texts };
}

function promptOf(value: unknown, name: string): ImportedMessage[] {
  if (!Array.isArray(value)) return [{ role: 'user', content: textOf(value, name) }];
  return value.map((each, i) => {
    const { role, content } = objectOf(each, `${name}[${i}]`);
    return { role: textOf(role, `${name}[${i}].role`), content: textOf(content, `${name}[${i}].content`) };
  });
}

/** Name of the text that a Pairwise result selects: of its tags, where their names are those of the data, else by their order. */
function selectionOf(part: unknown, texts: readonly NamedText[]): string[] {
  const { type, value, to_name: about } = objectOf(part, 'result');
  if (type !== 'pairwise') return [];
  const { selected } = objectOf(value, 'result.value');
  const side = selected === 'left' ? 0 : selected === 'right' ? 1 : -1;
  const tags = typeof about === 'string' ? about.split(',') : Array.isArray(about) ? about.map(String) : [];
  const named = tags.flatMap((tag) => texts.find(({ name }) => plain(name) === plain(tag)) ?? []);
  const found = (named.length === 2 ? named : texts)[side];
  return found === undefined ? [] : [found.name];
}

/** A name without the signs that tags and fields differ by. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}
