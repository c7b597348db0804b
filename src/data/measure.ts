/** @file The audit with a model's tokenizer: what `selm data audit` and the benchmark run. */
import { baseDirectory } from '../model/adapter/adapter.ts';
import { measureRows, type TextSettings } from '../text/rendering.ts';
import { loadTokenizer } from '../text/tokenizer.ts';
import { type AuditOptions, auditRows, type DataAudit } from './audit.ts';
import { readRows } from './read.ts';

/** Audits files for a model, whose folder needs its tokenizer only. DataError or TextError. */
export function auditFilesFor(
  modelDirectory: string,
  files: readonly string[],
  { text, ...options }: Omit<AuditOptions, 'measure'> & { text: TextSettings },
): Promise<DataAudit> {
  const tokenizer = loadTokenizer(baseDirectory(modelDirectory));
  return auditRows(readRows(files), { ...options, measure: (rows) => measureRows(tokenizer, rows, text) });
}
