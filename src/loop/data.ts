/** @file The data of a run: read and audited once, before anything else, and cut into one slice an iteration. */
import { auditRows, formatAudit } from '../data/audit.ts';
import { collectRows, readRows } from '../data/read.ts';
import type { PreferenceRow } from '../data/rows.ts';
import { type Slice, sliceRows } from '../data/slices.ts';
import { DataError } from '../errors.ts';
import type { Recipe } from '../recipe/schema.ts';
import { measureRow } from '../text/rendering.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { Watch } from './events.ts';

/** Rows of a run, by iteration. */
export interface TrainingData {
  /** What was read, used and left out, as text. */
  audit: string;
  /** The rows of iteration t; 0 is the warm start. */
  slice(iteration: number): PreferenceRow[];
  /** The rows of all iterations before t, where the recipe accumulates; else none. */
  earlier(iteration: number): PreferenceRow[];
}

/** Reads the data files, shows the audit, and cuts the rows into slices. DataError when there are not enough rows. */
export async function loadTrainingData(
  recipe: Recipe,
  { tokenizer, watch }: { tokenizer: Tokenizer; watch: Watch },
): Promise<TrainingData> {
  const { onBadRow, limit, train } = recipe.data;
  const { rows, audit } = await auditRows(readRows(train), {
    onBadRow,
    limit,
    measure: (prompt, responses) => measureRow(tokenizer, { prompt, responses }, recipe.text),
  });
  const text = formatAudit(audit);
  watch({ kind: 'note', text });
  const slices = sliceRows(rows.length, { count: recipe.slices.count, size: recipe.slices.size });
  const warmSlices = recipe.warmStart === 'none' ? 0 : 1;
  const needed = recipe.iterations + warmSlices;
  if (slices.length < needed && recipe.slices.reuse === 'never') {
    throw new DataError(
      'SLICES_MISSING',
      `Cannot run ${recipe.iterations} iterations: the ${rows.length} usable rows give ${slices.length} slices and ${needed} are needed: lower slices.size, or set slices.reuse to cycle`,
      { details: { rows: rows.length, slices: slices.length, needed } },
    );
  }
  const sliceOf = (iteration: number): Slice => {
    const slice = slices[(iteration - 1 + warmSlices) % slices.length];
    if (slice === undefined)
      throw new DataError('DATA_EMPTY', `Cannot run: ${recipe.data.train.join(', ')} has no usable row`);
    return slice;
  };
  const slice = (iteration: number): PreferenceRow[] => rows.slice(sliceOf(iteration).start, sliceOf(iteration).end);
  return {
    audit: text,
    slice,
    earlier: (iteration) =>
      recipe.accumulate ? Array.from({ length: iteration - 1 }, (_, i) => slice(i + 1)).flat() : [],
  };
}

/** The held-out prompts, when the recipe has some. */
export async function loadHeldOut(recipe: Recipe): Promise<PreferenceRow[]> {
  const { prompts, limit } = recipe.evaluate;
  return prompts === null ? [] : collectRows(readRows([prompts]), { limit, onBadRow: recipe.data.onBadRow });
}
