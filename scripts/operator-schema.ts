/** @file Reads the schemas that LibTorch gives of its operators: `aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`. */

export interface Parameter {
  name: string;
  type: string;
  optional: boolean;
}

export interface Schema {
  name: string;
  overload: string;
  parameters: Parameter[];
  returns: string[];
  text: string;
}

function splitTopLevel(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let current = '';
  for (const character of text) {
    if ('([{'.includes(character)) depth++;
    if (')]}'.includes(character)) depth--;
    if (character === ',' && depth === 0) {
      parts.push(current.trim());
      current = '';
    } else current += character;
  }
  if (current.trim() !== '') parts.push(current.trim());
  return parts;
}

export function parseSchema(text: string): Schema {
  const match = /^([\w:]+)(?:\.(\w+))?\((.*)\) -> (.*)$/.exec(text);
  if (match === null) throw new Error(`Cannot read the schema: ${text}`);
  const [, name = '', overload = '', list = '', returned = ''] = match;
  let keywordOnly = false;
  const parameters: Parameter[] = [];
  for (const part of splitTopLevel(list)) {
    if (part === '*') {
      keywordOnly = true;
      continue;
    }
    const hasDefault = part.includes('=');
    const [type = '', parameter = ''] =
      part
        .split('=')[0]
        ?.trim()
        .split(/ (?=\w+$)/) ?? [];
    const bare = type.replace(/\([a-z!|>* -]*\)/g, '').replace(/\[\d+\]/, '[]');
    parameters.push({ name: parameter, type: bare, optional: hasDefault || (keywordOnly && bare.endsWith('?')) });
  }
  const inner = returned.startsWith('(') ? returned.slice(1, -1) : returned;
  const returns = splitTopLevel(inner).map((each) => each.replace(/\([a-z!|>* -]*\)/g, '').split(' ')[0] ?? '');
  return { name, overload, parameters, returns, text };
}
