/** @file Rewrites data files in another form or format, whole or not at all. */
import { createFile } from '../files/new-file.ts';
import { openRowWriter, type WrittenFormat, writtenFormat } from './formats/write.ts';
import { type Form, type FormedRow, formRow, holdsMoreThanTexts } from './forms.ts';
import type { Columns } from './known-forms.ts';
import { badRowError, readRows } from './read.ts';
import type { PreferenceRow } from './rows.ts';
import { type UsableOptions, usableRows } from './usable.ts';

/** What was rewritten. */
export interface Conversion {
  read: number;
  written: number;
  /** Rows left out, by reason. */
  dropped: Map<string, number>;
}

export interface ConvertOptions extends UsableOptions {
  form: Form;
  /** Fields that the files name otherwise. */
  columns?: Columns;
}

/**
 * Writes the usable rows of `files` to `output`, whose name says the format. Fields that no row is made of (scores, models)
 * are not taken along. Throws DataError for a bad row under `stop`, FileError when `output` is there.
 */
export async function convertRows(
  files: readonly string[],
  output: string,
  { form, columns = {}, ...options }: ConvertOptions,
): Promise<Conversion> {
  const format = writtenFormat(output);
  return createFile(output, async (temporaryPath) => {
    const conversion: Conversion = { read: 0, written: 0, dropped: new Map() };
    const drop = (problem: string): void => {
      conversion.dropped.set(problem, (conversion.dropped.get(problem) ?? 0) + 1);
    };
    const listener = {
      read: () => {
        conversion.read += 1;
      },
      dropped: ({ problem }: { problem: string }) => drop(problem),
    };
    const writer = openRowWriter(temporaryPath, { format, form });
    try {
      for await (const row of usableRows(readRows(files, columns), options, listener)) {
        const formed = formatted(row, { form, format });
        if ('problem' in formed) {
          if (options.onBadRow === 'stop') {
            throw badRowError({
              kind: 'problem',
              problem: 'not of the form',
              field: 'prompt',
              detail: formed.problem,
              source: row.source,
            });
          }
          drop(formed.problem);
          continue;
        }
        await writer.write(formed);
        conversion.written += 1;
      }
      await writer.finish();
    } catch (error) {
      writer.abandon();
      throw error;
    }
    return conversion;
  });
}

/** A row as the file can hold it, or why it cannot. */
function formatted(
  row: PreferenceRow,
  { form, format }: { form: Form; format: WrittenFormat },
): FormedRow | { problem: string } {
  const formed = formRow(row, form);
  if ('problem' in formed || format !== 'parquet' || !holdsMoreThanTexts(formed)) return formed;
  return { problem: 'it has tools or fields beside role and content, which are written as JSONL only' };
}
