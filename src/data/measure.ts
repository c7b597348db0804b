/** @file The audit with a model's tokenizer: what `selm data audit` and the benchmark run. */
import { baseDirectory } from '../model/adapter/adapter.ts';
import { type PromptReading, promptReading } from '../text/reading.ts';
import { measureRows, type RowMeasure, type TextSettings } from '../text/rendering.ts';
import { loadTokenizer, type Tokenizer } from '../text/tokenizer/tokenizer.ts';
import { type AuditOptions, auditRows, type DataAudit } from './audit.ts';
import type { Columns } from './known-forms.ts';
import type { ModelReading } from './model-rows.ts';
import { readRows } from './read.ts';

/** How rows are read for a model. */
export function modelReading(
  tokenizer: Tokenizer,
  text: TextSettings & { prompts: PromptReading | null },
): ModelReading {
  return {
    prompts: promptReading(text.prompts, tokenizer),
    measure: (rows) => measureRows(tokenizer, rows, text),
  };
}

const NO_MEASURE: RowMeasure = {
  prompt: 0,
  responses: [],
  promptCut: false,
  responsesCut: 0,
  missingEnd: false,
  changes: [],
  omissions: { earlierReasoning: false, changedMessages: 0, unusedFields: [] },
};

/** Rows counted without a tokenizer. */
export const UNMEASURED: ModelReading = {
  prompts: 'raw',
  measure: (rows) => rows.map(() => ({ kind: 'measure', measure: NO_MEASURE })),
};

/** Audits files for a model, whose folder needs its tokenizer only. DataError or TextError. */
export function auditFilesFor(
  modelDirectory: string,
  files: readonly string[],
  {
    text,
    columns = {},
    ...options
  }: Omit<AuditOptions, 'measure' | 'prompts'> & {
    text: TextSettings & { prompts: PromptReading | null };
    columns?: Columns;
  },
): Promise<DataAudit> {
  const tokenizer = loadTokenizer(baseDirectory(modelDirectory));
  return auditRows(readRows(files, columns), { ...options, ...modelReading(tokenizer, text) });
}

/** Audits files without a model: nothing is said of tokens, lengths and cuts. DataError. */
export function auditFiles(
  files: readonly string[],
  { columns = {}, ...options }: Omit<AuditOptions, 'measure' | 'prompts'> & { columns?: Columns },
): Promise<DataAudit> {
  return auditRows(readRows(files, columns), { ...options, ...UNMEASURED });
}
