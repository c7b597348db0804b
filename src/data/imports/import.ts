/**
 * @file What all imports share: rows of other programs' forms become pairs or labelled responses, and what cannot is counted
 * and named. One form is one file beside this one.
 */
import { createFile } from '../../files/new-file.ts';
import { readRecords } from '../formats/read.ts';
import type { DataRecord } from '../formats/record.ts';
import { openWebui } from './open-webui.ts';
import { helpSteer, nectar, ratedGenerations, ultraFeedback } from './rated.ts';
import { type ImportedMessage, type ImportedRow, type ImportForm, type ImportProblem, NoRow } from './row.ts';

export const IMPORT_FORMS: readonly ImportForm[] = [openWebui, ultraFeedback, helpSteer, nectar, ratedGenerations];

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
    for await (const record of readRecords(files, (available) => available)) {
      outcome.records += 1;
      for (const row of rowsOf(record, form)) {
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

/** Everything that a record gives, in its order. */
export function rowsOf(record: DataRecord, form: ImportForm): (ImportedRow | ImportProblem)[] {
  const { source } = record;
  if (record.kind === 'problem') return [{ kind: 'problem', problem: record.problem, detail: record.detail, source }];
  const problem = (found: NoRow): ImportProblem => ({
    kind: 'problem',
    problem: found.problem,
    detail: found.message,
    source,
  });
  try {
    return form.rowsOf(record.value).map((row) => (row instanceof NoRow ? problem(row) : row));
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
