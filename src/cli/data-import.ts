/** @file `selm data import FORM IN OUT`: feedback and ratings of other programs as rows to train on. */
import { Argument, Command, Option } from 'commander';
import { IMPORT_FORMS, importRows } from '../data/imports/import.ts';
import type { ImportedRow } from '../data/imports/row.ts';
import { selmCommand, shorterPath } from '../files/command-line.ts';
import { localFiles } from '../hub/local.ts';
import { hubAccess } from './hub.ts';

/** What `--as` takes, and the rows that are meant. */
const KINDS: Readonly<Record<'pairs' | 'labels', ImportedRow['kind']>> = { pairs: 'pair', labels: 'label' };

/** The command. */
export function dataImportCommand(): Command {
  const forms = IMPORT_FORMS.map(({ name, about }) => `  ${name.padEnd(14)}${about}`).join('\n');
  return new Command('import')
    .description('make rows of chat exports and rated data sets; what cannot be read is counted and named')
    .addArgument(new Argument('<form>', 'what the file is').choices(IMPORT_FORMS.map(({ name }) => name)))
    .argument('<in>', 'JSON Lines, a JSON list or CSV (also .gz, .zst), Parquet, or hub:owner/name:split')
    .argument('<out>', 'new JSON Lines file')
    .addOption(
      new Option('--as <rows>', 'pairs for selm train, labels for KTO by selm sft')
        .choices(Object.keys(KINDS))
        .default('pairs'),
    )
    .addHelpText(
      'after',
      `\nForms:\n${forms}\n\nExample:\n  $ selm data import open-webui all-chats.json pairs.jsonl\n  $ selm data import open-webui all-chats.json thumbs.jsonl --as labels`,
    )
    .action(importData);
}

async function importData(
  name: string,
  place: string,
  output: string,
  options: { as: keyof typeof KINDS },
): Promise<void> {
  const form = IMPORT_FORMS.find((each) => each.name === name);
  if (form === undefined) throw new Error(`No form ${name}`); // commander knows the choices
  const files = await localFiles([place], hubAccess());
  const found = await importRows(files, output, { form, kind: KINDS[options.as] });
  const written = options.as === 'pairs' ? found.pairs : found.labels;
  const other = options.as === 'pairs' ? found.labels : found.pairs;
  const otherName = options.as === 'pairs' ? 'labels' : 'pairs';
  console.log(`${found.records} records read, ${written} ${options.as} written to ${shorterPath(output)}`);
  if (other > 0)
    console.log(
      `There are ${other} ${otherName} too: ${selmCommand(['data', 'import', name, place, `${otherName}.jsonl`, '--as', otherName])}`,
    );
  for (const [problem, { count, first }] of found.problems)
    console.log(`Left out, ${problem}: ${count}, first ${first}`);
}
