/** @file `selm data`: looks at data files without a run, and rewrites them. */
import { Command, Option } from 'commander';
import { formatAudit } from '../data/audit.ts';
import { FORMS, type Form } from '../data/forms.ts';
import type { Columns } from '../data/known-forms.ts';
import type { BadRowRule } from '../data/read.ts';
import type { ParsedRow } from '../data/rows.ts';
import { shorterPath } from '../files/command-line.ts';
import { localFiles, localModel } from '../hub/local.ts';
import type { PromptReading } from '../text/reading.ts';
import type { Rendering } from '../text/rendering.ts';
import { columnsOption } from './columns.ts';
import { dataImportCommand } from './data-import.ts';
import { hubAccess } from './hub.ts';
import { wholeNumber } from './numbers.ts';

interface RowOptions {
  limit?: number;
  columns: Columns;
  onBadRow: BadRowRule;
}

interface AuditCommandOptions extends RowOptions {
  model?: string;
  rendering: Rendering;
  textPrompts?: PromptReading;
  maxLength: number;
  maxPromptLength: number;
  json?: true;
}

/** The command and those below it. */
export function dataCommand(): Command {
  return new Command('data')
    .description('look at data files, and rewrite them')
    .addCommand(auditCommand())
    .addCommand(convertCommand())
    .addCommand(dataImportCommand());
}

const FILES = 'JSON Lines, a JSON list or CSV (also .gz, .zst), Parquet, or hub:owner/name:split';
const limit = (): Option => new Option('--limit <n>', 'only the first usable rows').argParser(wholeNumber(1));
/** What to do with rows that cannot be used; `rule` where it is not said. */
export const onBadRowOption = (rule: BadRowRule): Option =>
  new Option('--on-bad-row <rule>', 'end at the first unusable row, or count and leave out')
    .choices(['stop', 'drop'])
    .default(rule);

function auditCommand(): Command {
  return new Command('audit')
    .description('what training would read, use, leave out and cut; also of data larger than memory')
    .argument('<files...>', FILES)
    .option(
      '--model <model>',
      'model whose tokenizer counts: a folder, or hub:owner/name; without one lengths are not known',
    )
    .addOption(
      new Option('--rendering <name>', 'as text.rendering of a recipe').choices(['clean', 'faithful']).default('clean'),
    )
    .addOption(new Option('--text-prompts <way>', 'as text.prompts').choices(['chat', 'raw']))
    .option('--max-length <n>', 'as text.maxLength', wholeNumber(2), 1024)
    .option('--max-prompt-length <n>', 'as text.maxPromptLength', wholeNumber(1), 512)
    .addOption(columnsOption())
    .addOption(limit())
    .addOption(onBadRowOption('drop'))
    .option('--json', 'the counts as one JSON object')
    .addHelpText('after', '\nExample:\n  $ selm data audit train.parquet --model ./model')
    .action(audit);
}

function convertCommand(): Command {
  return new Command('convert')
    .description('rewrite preference rows in another form or format; never overwrites a file')
    .argument('<in>', FILES)
    .argument('<out>', 'new file: .jsonl, .jsonl.gz or .parquet')
    .addOption(new Option('--form <form>', 'of the rows that are written').choices(FORMS).default('conversational'))
    .addOption(columnsOption())
    .addOption(limit())
    .addOption(onBadRowOption('stop'))
    .addHelpText('after', '\nExample:\n  $ selm data convert pairs.jsonl.gz pairs.parquet --form ultrafeedback')
    .action(convert);
}

async function audit(places: string[], options: AuditCommandOptions): Promise<void> {
  const hub = hubAccess();
  const model = options.model === undefined ? null : await localModel(options.model, hub);
  const files = await localFiles(places, hub);
  const { auditFiles, auditFilesFor } = await import('../data/measure.ts');
  const examples = new Map<string, string[]>();
  const settings = {
    columns: options.columns,
    onBadRow: options.onBadRow,
    limit: options.limit ?? null,
    progress: progressLine(),
    dropped: (row: BadRow): void => addExample(examples, row),
  };
  const found =
    model === null
      ? await auditFiles(files, settings)
      : await auditFilesFor(model, files, {
          ...settings,
          text: { ...options, prompts: options.textPrompts ?? null },
        });
  const { unrenderable, ...counts } = found;
  const asJson = (_: string, value: unknown): unknown => (value instanceof Map ? Object.fromEntries(value) : value);
  console.log(
    options.json
      ? JSON.stringify({ ...counts, examples }, asJson)
      : [formatAudit(found), ...exampleLines(examples, found.dropped)].join('\n'),
  );
}

/** Rows that are named of each reason. */
const EXAMPLES = 5;

type BadRow = Extract<ParsedRow, { kind: 'problem' }>;

function addExample(examples: Map<string, string[]>, { problem, field, detail, source }: BadRow): void {
  const known = examples.get(problem) ?? [];
  examples.set(problem, known);
  if (known.length >= EXAMPLES) return;
  known.push(`${shorterPath(source.file)}:${source.line}:${field === '' ? '' : ` field "${field}":`} ${detail}`);
}

/** The first rows of each reason, below it. */
function exampleLines(
  examples: ReadonlyMap<string, readonly string[]>,
  dropped: ReadonlyMap<string, number>,
): string[] {
  return [...examples].flatMap(([problem, lines]) => {
    const more = (dropped.get(problem) ?? 0) - lines.length;
    return [`Left out, ${problem}:`, ...lines.map((line) => `  ${line}`), ...(more > 0 ? [`  and ${more} more`] : [])];
  });
}

async function convert(place: string, output: string, options: RowOptions & { form: Form }): Promise<void> {
  const files = await localFiles([place], hubAccess());
  const { convertRows } = await import('../data/convert.ts');
  const { read, written, dropped } = await convertRows(files, output, {
    form: options.form,
    columns: options.columns,
    onBadRow: options.onBadRow,
    limit: options.limit ?? null,
  });
  const reasons = [...dropped].map(([reason, count]) => `${count} ${reason}`).join(', ');
  console.log(
    `${read} rows read, ${written} written to ${shorterPath(output)}${reasons === '' ? '' : `, left out: ${reasons}`}`,
  );
}

/** On a terminal, how far it is; the line is taken away at the next write. */
function progressLine(): ((read: number) => void) | undefined {
  if (!process.stderr.isTTY) return undefined;
  return (read) => void process.stderr.write(`\r\x1b[2K${read.toLocaleString('en-US')} rows\r`);
}
