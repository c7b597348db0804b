/**
 * @file What all imports share: they turn the records of other programs into pairs or labelled responses, and count and name
 * what cannot be used. Each form is in a file beside this one.
 */
import { createFile } from '../../files/new-file.ts';
import { readRecords } from '../formats/read.ts';
import type { DataRecord } from '../formats/record.ts';
import { argilla } from './argilla.ts';
import { labelStudio } from './label-studio.ts';
import { openWebui } from './open-webui.ts';
import { helpSteer, nectar, ratedGenerations, ultraFeedback } from './rated.ts';
import { type ImportedMessage, type ImportedRow, type ImportForm, type ImportProblem, NoRow } from './row.ts';

export const IMPORT_FORMS: readonly ImportForm[] = [
  openWebui,
  argilla,
  labelStudio,
  ultraFeedback,
  helpSteer,
  nectar,
  ratedGenerations,
];

/** What an import did. */
export interface ImportOutcome {
  records: number;
  pairs: number;
  labels: number;
  /** By reason, with the first of each. */
  problems: Map<string, { count: number; first: string }>;
}

/**
 * Writes the rows of one kind of `files` to `output`, JSON Lines, whole or not at all. A record that cannot be read loses
 * nothing else. Throws FileError when `output` is there, DataError for a file that cannot be read.
 */
export function importRows(
  files: readonly string[],
  output: string,
  { form, kind }: { form: ImportForm; kind: ImportedRow['kind'] },
): Promise<ImportOutcome> {
  const outcome: ImportOutcome = { records: 0, pairs: 0, labels: 0, problems: new Map() };
  return createFile(output, async (temporaryPath) => {
    const { open } = await import('node:fs/promises');
    await using file = await open(temporaryPath, 'w');
    for await (const records of together(
      readRecords(files, (available) => available),
      form,
    )) {
      outcome.records += records.length;
      for (const row of rowsOf(records, form)) {
        if (row.kind === 'problem') count(outcome, row);
        else {
          outcome[row.kind === 'pair' ? 'pairs' : 'labels'] += 1;
          if (row.kind === kind) await file.write(`${JSON.stringify(written(row))}\n`);
        }
      }
    }
    return outcome;
  });
}

/** Records that belong to each other, where the form says so; else each alone. */
async function* together(records: AsyncIterable<DataRecord>, form: ImportForm): AsyncGenerator<DataRecord[]> {
  const promptOf = (record: DataRecord | undefined): string | null =>
    record?.kind === 'record' ? (form.promptOf?.(record.value) ?? null) : null;
  let group: DataRecord[] = [];
  for await (const record of records) {
    const prompt = promptOf(record);
    if (group.length > 0 && (prompt === null || prompt !== promptOf(group[0]))) {
      yield group;
      group = [];
    }
    group.push(record);
  }
  if (group.length > 0) yield group;
}

/** Everything that a record gives, with those behind it that belong to it, in its order. */
export function rowsOf(records: readonly DataRecord[], form: ImportForm): (ImportedRow | ImportProblem)[] {
  const [record, ...more] = records;
  if (record === undefined) return [];
  const { source } = record;
  if (record.kind === 'problem') return [{ kind: 'problem', problem: record.problem, detail: record.detail, source }];
  const behind = more.flatMap((each) => (each.kind === 'record' ? [each.value] : []));
  const problem = (found: NoRow): ImportProblem => ({
    kind: 'problem',
    problem: found.problem,
    detail: found.message,
    source,
  });
  try {
    return form.rowsOf(record.value, behind).map((row) => (row instanceof NoRow ? problem(row) : row));
  } catch (error) {
    if (error instanceof NoRow) return [problem(error)];
    throw error;
  }
}

function count({ problems }: ImportOutcome, { problem, detail, source }: ImportProblem): void {
  const known = problems.get(problem);
  if (known !== undefined) known.count += 1;
  else problems.set(problem, { count: 1, first: `${source.file}:${source.line}: ${detail}` });
}

/** TRL's conversational forms, which `selm train` and `selm sft` read. */
function written(row: ImportedRow): Record<string, unknown> {
  const answer = (content: string): ImportedMessage[] => [{ role: 'assistant', content }];
  return row.kind === 'pair'
    ? { prompt: row.prompt, chosen: answer(row.chosen), rejected: answer(row.rejected) }
    : { prompt: row.prompt, completion: answer(row.completion), label: row.label };
}
