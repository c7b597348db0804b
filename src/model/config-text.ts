/**
 * @file config.json as text again. JavaScript has one kind of number and Python has two: transformers refuses a model whose
 * `final_logit_softcapping` is 30 where it was 30.0. Fields whose numbers carried a point or an exponent keep a point.
 */

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Matches a field whose value is a number or a list without braces: its name, what stands between, the value. */
const FIELD = /"((?:[^"\\]|\\.)*)"(\s*:\s*)(\[[^\]"{}]*\]|-?\d[\d.eE+-]*)/g;

/** Names of the fields that hold a number written with a point or an exponent. */
function fractionalFields(text: string): Set<string> {
  const names = new Set<string>();
  for (const [, name = '', , value = ''] of text.matchAll(FIELD)) {
    if (/\d[.eE]/.test(value)) names.add(name);
  }
  return names;
}

/** The fields as JSON; numbers are written as floating-point where `original`, the file that they came from, did so. */
export function configText(fields: Readonly<Record<string, unknown>>, original: string): string {
  const fractional = fractionalFields(original);
  const text = JSON.stringify(fields, null, 2).replace(FIELD, (whole, name: string, between: string, value: string) => {
    if (!fractional.has(name)) return whole;
    const written = value.replace(NUMBER, (number) => (/[.eE]/.test(number) ? number : `${number}.0`));
    return `"${name}"${between}${written}`;
  });
  return `${text}\n`;
}
