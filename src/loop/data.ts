/**
 * @file The data of a run: read and audited once, before anything else, and cut into one slice an iteration. Rows are not
 * kept: the rows of a slice are read again when their iteration comes, from files that must not have changed since.
 */
import { statSync } from 'node:fs';
import { auditRows, type DataAudit, formatAudit, formatReading } from '../data/audit.ts';
import { chooseHeldOut, withoutPrompts } from '../data/hold-out.ts';
import { modelReading } from '../data/measure.ts';
import { type DataSource, inTurn, mixRows, mixtureCounts, namedRows, sourcesLine } from '../data/mixture.ts';
import { promptsAlone, rowsAsAudited, rowsForModel } from '../data/model-rows.ts';
import { collectRows, readRows } from '../data/read.ts';
import type { ParsedRow, PreferenceRow } from '../data/rows.ts';
import { rowsOfSlice } from '../data/usable.ts';
import { DataError } from '../errors.ts';
import { fileError } from '../files/fs.ts';
import { hasHeldOut, heldOutColumns, slicesOf } from '../recipe/iterations.ts';
import { mixtureOf } from '../recipe/mixture.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { Announce } from '../store/events.ts';
import { turnAfter } from '../text/frame.ts';
import type { Prompt } from '../text/rendering.ts';
import type { Tokenizer } from '../text/tokenizer/tokenizer.ts';

/** Rows of a run, by iteration. */
export interface TrainingData {
  /** What was read, used and left out, as text. */
  audit: string;
  /** Whether prompts of both kinds, or of one, go through the chat template or not. */
  kinds: ReadonlySet<Prompt['kind']>;
  /** Rows that are used. */
  used: number;
  /** Rows of the iteration that has fewest. */
  fewest: number;
  /** The rows of iteration t; 0 is the warm start. DataError when a file changed since the audit. */
  slice(iteration: number): Promise<PreferenceRow[]>;
}

/** Reads the data files, shows the audit, and cuts the rows into slices. DataError when there are not enough rows. */
export async function loadTrainingData(
  recipe: Recipe,
  { sources, tokenizer, announce }: { sources: readonly DataSource[]; tokenizer: Tokenizer; announce: Announce },
): Promise<TrainingData> {
  const { train, columns, limit, onBadRow } = recipe.data;
  const stamps = new Map(train.map((file) => [file, stampOf(file)]));
  const reading = modelReading(tokenizer, recipe.text);
  const heldOut = await heldOutOf(recipe);
  const rowsOf = ({ files, name }: DataSource): AsyncGenerator<ParsedRow> => {
    const rows = withoutPrompts(readRows(files, columns), heldOut);
    return sources.length > 1 ? namedRows(rows, name) : rows;
  };
  const mixture = mixtureOf(recipe.data);
  // A mixture counts the usable rows of each source, before it takes its shares of them.
  const audit = await auditRows(inTurn(sources.map(rowsOf)), {
    ...reading,
    onBadRow,
    limit: mixture === null ? limit : null,
  });
  const names = sources.map(({ name }) => name);
  const usableOf = names.map((name) => (names.length === 1 ? audit.used : (audit.usedOf.get(name) ?? 0)));
  const counts = mixture === null ? null : mixtureCounts(mixture, { usable: usableOf, names, limit });
  const used = counts === null ? audit.used : counts.reduce((sum, count) => sum + count, 0);
  const text = [formatAudit(audit), ...(counts === null ? [] : [sourcesLine(names, usableOf, counts)])].join('\n');
  announce({ kind: 'note', text });
  const sliceOf = slicesOf(recipe, used);
  const slice = async (iteration: number): Promise<PreferenceRow[]> => {
    for (const [file, stamp] of stamps) if (stampOf(file) !== stamp) throw changed(file);
    const { unrenderable } = audit;
    const audited = sources.map((each) => rowsAsAudited(rowsOf(each), { prompts: reading.prompts, unrenderable }));
    const rows = counts === null ? inTurn(audited) : mixRows(audited, counts);
    return rowsOfSlice(rows, { onBadRow, limit: counts === null ? limit : null }, sliceOf(iteration));
  };
  const iterations = Array.from({ length: recipe.iterations }, (_, index) => index + 1);
  const fewest = Math.min(...iterations.map((t) => sliceOf(t).end - sliceOf(t).start));
  return { audit: text, kinds: kindsOf(audit), used, fewest, slice };
}

/** Which kinds of prompts the used rows have, as they were read. */
function kindsOf({ used, textPrompts, reading }: DataAudit): Set<Prompt['kind']> {
  const kinds: Prompt['kind'][] = [];
  if (reading === 'chat' ? used > 0 : used > textPrompts) kinds.push('chat');
  if (reading === 'raw' && textPrompts > 0) kinds.push('text');
  return new Set(kinds);
}

/** The prompts that evaluate.holdOut takes off the training rows. */
async function heldOutOf({ data, evaluate, seed }: Recipe): Promise<PreferenceRow[]> {
  const { holdOut: count } = evaluate;
  if (count === 0) return [];
  return chooseHeldOut(readRows(data.train, data.columns), { count, seed, onBadRow: data.onBadRow });
}

async function* stream(rows: readonly PreferenceRow[]): AsyncGenerator<ParsedRow> {
  for (const row of rows) yield { kind: 'row', row };
}

/**
 * The held-out prompts, when the recipe has some, read as the training data are; says in which way that is, and warns where
 * they are of another kind than the prompts that are trained on.
 */
export async function loadHeldOut(
  recipe: Recipe,
  {
    tokenizer,
    announce,
    trainingKinds,
  }: { tokenizer: Tokenizer; announce: Announce; trainingKinds: TrainingData['kinds'] },
): Promise<PreferenceRow[]> {
  const { prompts, limit } = recipe.evaluate;
  if (!hasHeldOut(recipe)) return [];
  const reading = modelReading(tokenizer, recipe.text);
  const given =
    prompts === null ? stream(await heldOutOf(recipe)) : promptsAlone(readRows([prompts], heldOutColumns(recipe)));
  const rows = await collectRows(rowsForModel(given, reading), {
    limit,
    onBadRow: recipe.data.onBadRow,
  });
  const textPrompts = rows.filter(({ given }) => given === 'text').length;
  const continuedPrompts = rows.filter(({ prompt }) => turnAfter(prompt) === 'continued').length;
  const way = formatReading({ used: rows.length, textPrompts, continuedPrompts, reading: reading.prompts });
  const place = prompts === null ? ', taken off the rows' : '';
  announce({ kind: 'note', text: `Held-out prompts: ${rows.length}${place}: ${way}` });
  const others = rows.filter(({ prompt }) => !trainingKinds.has(prompt.kind));
  if (others.length > 0) {
    const [own, trained] =
      others[0]?.prompt.kind === 'text' ? ['raw texts', 'conversations'] : ['conversations', 'raw texts'];
    const text = `${others.length} held-out prompts are ${own}, and training sees ${trained} only: what is measured is not what is trained (text.prompts: chat reads both alike)`;
    announce({ kind: 'warning', text });
  }
  return rows;
}

/** Size and time of the last change: enough to see that someone wrote to a file under a running process. */
function stampOf(file: string): string {
  try {
    const { size, mtimeMs } = statSync(file);
    return `${size} ${mtimeMs}`;
  } catch (error) {
    throw fileError(error, { action: 'read', path: file });
  }
}

function changed(file: string): DataError {
  return new DataError(
    'DATA_CHANGED',
    `Cannot go on: ${file} was written to since this run read it: run the same command again, which compares its content with the run's`,
    { details: { file } },
  );
}
