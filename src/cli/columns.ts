/** @file `--columns` maps the field names of a data file to ours, as `data.columns` does in a recipe. */
import { InvalidArgumentError, Option } from 'commander';
import type { Columns } from '../data/known-forms.ts';
import { columnsOf } from '../recipe/fields.ts';

/** The option of every command that reads rows. */
export function columnsOption(): Option {
  return new Option(
    '--columns <ours=theirs,...>',
    'fields that the files name otherwise, as in prompt=question,chosen=good',
  )
    .argParser(parseColumns)
    .default({}, 'ours');
}

/** `prompt=question,chosen=good`, with our names as in data.columns of a recipe. */
function parseColumns(text: string): Columns {
  const parts = text.split(',').map((part) => part.split('='));
  const parsed = columnsOf().safeParse(Object.fromEntries(parts));
  if (parsed.success && parts.every((part) => part.length === 2)) return parsed.data;
  const names = Object.keys(columnsOf().shape).join(', ');
  throw new InvalidArgumentError(`Allowed is ours=theirs, with ours one of ${names}, and commas between.`);
}

/** The option as it is to be written for these names; nothing where there are none. */
export function columnsArguments(columns: Columns): string[] {
  const pairs = Object.entries(columns).flatMap(([ours, theirs]) =>
    theirs === undefined ? [] : [`${ours}=${theirs}`],
  );
  return pairs.length === 0 ? [] : ['--columns', pairs.join(',')];
}
