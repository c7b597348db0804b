/**
 * @file Rows of benchmarks from files, in the forms in which data sets come; a row that is not a record is refused with its
 * place.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { DataError } from '../../errors.ts';
import { readJson, readResultFile } from '../records.ts';
import type { Benchmark, RowSource } from './benchmark.ts';
import type { SourceRow } from './items.ts';

/** All rows of some files, numbered through. A JSON file may also be an object of rows by name. */
export async function readBenchmarkRows(files: readonly string[]): Promise<SourceRow[]> {
  const rows: SourceRow[] = [];
  for (const file of files) {
    const named = extname(file).toLowerCase() === '.json' ? readJson(file) : undefined;
    if (isRowsByName(named)) {
      for (const value of Object.values(named)) rows.push({ line: rows.length + 1, value });
      continue;
    }
    const { records, problems } = await readResultFile(file);
    const [bad] = problems;
    if (bad !== undefined) {
      throw new DataError('ROW_UNUSABLE', `Cannot use ${file}:${bad.line} as a row of a benchmark: ${bad.problem}`, {
        details: { file, line: bad.line },
      });
    }
    for (const { value } of records) rows.push({ line: rows.length + 1, value });
  }
  return rows;
}

/** Files of a source in a folder: in one of the benchmark's name (without a last part such as `_mc1`), or in the folder itself. */
export function filesInFolder(folder: string, { name }: Benchmark, { file }: RowSource): string[] {
  const names = name.split('_').map((_, parts, all) => all.slice(0, all.length - parts).join('_'));
  const folders = [...names.map((each) => join(folder, each)), folder].filter(isFolder);
  for (const each of folders) {
    const found = readdirSync(each).filter((entry) => file.test(entry));
    if (found.length > 0) return found.sort().map((entry) => join(each, entry));
  }
  return [];
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

function isRowsByName(value: unknown): value is Record<string, Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const rows = Object.values(value);
  return rows.length > 1 && rows.every((row) => typeof row === 'object' && row !== null && !Array.isArray(row));
}
