/**
 * @file Reads data files record by record, whatever their format: JSON Lines, one JSON list or CSV, plain or compressed, and
 * Parquet. Every line is accounted for: a record, or a problem with its file and line.
 */
import { formatOfFile } from './detect.ts';
import { readJsonl } from './jsonl.ts';
import { readParquet } from './parquet.ts';
import type { DataRecord, FieldChoice } from './record.ts';
import { isCsvName, readCsv } from './whole-file.ts';

/** Streams the records of all files in order. DataError for a file that is missing, empty, damaged or of no format. */
export async function* readRecords(files: readonly string[], choose: FieldChoice): AsyncGenerator<DataRecord> {
  for (const file of files) {
    const format = formatOfFile(file);
    if (format === 'parquet') yield* readParquet(file, choose);
    else yield* isCsvName(file) ? readCsv(file, format) : readJsonl(file, format);
  }
}
