/**
 * @file What a dry run knows of the recipe's data and model: read where they are on this machine, else the sizes of the
 * published ones (recipes/published.json), else what the user says. Reads; writes nothing.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { auditRows, formatReading } from '../data/audit.ts';
import { chooseHeldOut, withoutPrompts } from '../data/hold-out.ts';
import { modelReading, UNMEASURED } from '../data/measure.ts';
import { inTurn, mixtureCounts, namedRows, sourceNames, sourcesOfFiles } from '../data/mixture.ts';
import { promptsAlone } from '../data/model-rows.ts';
import { readRows } from '../data/read.ts';
import { RecipeError } from '../errors.ts';
import { checkModelFolder } from '../files/model-folder.ts';
import { packageRoot } from '../files/package-root.ts';
import { isHubName } from '../hub/name.ts';
import { loadConversations } from '../loop/sft-data.ts';
import { baseDirectory } from '../model/adapter/adapter.ts';
import type { ModelConfig } from '../model/config.ts';
import { normaliseConfig, readModelConfig } from '../model/read-config.ts';
import { heldOutColumns } from '../recipe/iterations.ts';
import { mixtureOf } from '../recipe/mixture.ts';
import type { Recipe } from '../recipe/schema.ts';
import { scoredTokens } from '../score/trees.ts';
import type { Measured, MeasuredText } from '../text/rendering.ts';
import { loadTokenizer } from '../text/tokenizer/tokenizer.ts';
import { readTokenizerSettings } from '../text/tokenizer/tokenizer-files.ts';
import { conversationTokens } from '../train/supervised.ts';
import { type BenchmarkFacts, benchmarkFacts } from './benchmarks.ts';
import type { TokenFacts } from './cost.ts';
import type { RowFacts } from './plan.ts';

export interface RecipeFacts extends RowFacts {
  tokens: TokenFacts;
  /** Null for a model that is not here and not known: its memory and time cannot be told. */
  config: ModelConfig | null;
  /** In which way prompts are read, as a sentence; null where the rows or the tokenizer are not here. */
  reading: string | null;
  /** Held-out prompts; null where the file is not here. */
  heldOut: number | null;
  /** What each model is asked by public benchmarks. */
  benchmarks: BenchmarkFacts[];
  /** Tokens of the fine-tuning that comes first, and those that are learned; null without one, or without its files. */
  fineTuning: { tokens: number; scored: number } | null;
  /** Where the numbers come from, for the reader. */
  sources: { rows: string; tokens: string; model: string };
}

const publishedSchema = z.object({
  models: z.record(z.string(), z.record(z.string(), z.unknown())),
  data: z.record(z.string(), z.object({ rows: z.int(), pairs: z.boolean() })),
});

/** What the facts of a recipe depend on: recipes that agree in it, such as most arms of a sweep, have the same facts. */
export function factsKey({ model, data, text, seed, sampling, evaluate, sft }: Recipe): string {
  const { prompts, holdOut, limit, columns, benchmarks } = evaluate;
  const measured = { prompts, holdOut, limit, columns, benchmarks };
  const tuned = sft === null ? null : { ...sft, name: '', output: '' };
  return JSON.stringify([model, data, text, seed, sampling.maxNewTokens, measured, tuned]);
}

/**
 * Facts of a recipe. `rows` overrides the number of rows.
 *
 * @throws ModelError MODEL_FOLDER where the model is a path without a model; RecipeError DRY_RUN_ROWS_UNKNOWN where the data are not here and nothing says how many rows they have
 */
export async function factsOf(recipe: Recipe, { rows }: { rows: number | null }): Promise<RecipeFacts> {
  const published = publishedSchema.parse(
    JSON.parse(readFileSync(join(packageRoot, 'recipes/published.json'), 'utf8')),
  );
  // A name on the Hub is not fetched for a dry run; a path has to be there.
  if (!isHubName(recipe.model)) checkModelFolder(recipe.model);
  const base = baseDirectory(recipe.model);
  const modelIsHere = existsSync(join(base, 'config.json'));
  // Tokenizer files that disagree are an error even if there are no rows to measure.
  if (existsSync(join(base, 'tokenizer.json'))) readTokenizerSettings(base);
  const knownModel = published.models[nameOnHub(recipe.model)];
  const config = modelIsHere
    ? readModelConfig(base)
    : knownModel === undefined
      ? null
      : normaliseConfig(knownModel, 'recipes/published.json');
  const model = modelIsHere ? 'read from its folder' : config === null ? 'not on this machine' : 'its published sizes';
  const limits = {
    prompt: recipe.text.maxPromptLength,
    longestPrompt: recipe.text.maxPromptLength,
    response: recipe.text.maxLength - recipe.text.maxPromptLength,
    sampled: recipe.sampling.maxNewTokens,
    atMost: true,
  };
  const others = {
    config,
    heldOut: await heldOutPrompts(recipe),
    benchmarks: await benchmarkFacts(recipe, modelIsHere ? loadTokenizer(base) : null),
    fineTuning: await conversations(recipe, modelIsHere),
  };
  const atLimits = "the recipe's limits: the real number is lower";

  if (recipe.data.train.every((file) => existsSync(file))) {
    const found = await measured(recipe, modelIsHere);
    const tokens = found.tokens ?? limits;
    return {
      rows: rows ?? found.rows,
      hasPairs: found.hasPairs,
      tokens,
      reading: found.reading,
      ...others,
      sources: {
        rows: rows === null ? 'counted' : 'as given',
        tokens: tokens.atMost ? atLimits : 'means over the data; responses are taken to be as long as theirs',
        model,
      },
    };
  }
  const known = recipe.data.train.map((file) => published.data[nameOnHub(file)]);
  const limited = publishedRows(
    recipe,
    known.map((each) => each?.rows ?? Number.NaN),
  );
  const count = rows ?? limited;
  if (!Number.isFinite(count)) {
    throw new RecipeError(
      'DRY_RUN_ROWS_UNKNOWN',
      `Cannot plan without knowing the rows: ${recipe.data.train.join(', ')} is not on this machine: say how many it has with --rows`,
      { details: { train: recipe.data.train } },
    );
  }
  return {
    rows: count,
    hasPairs: known.every((each) => each?.pairs ?? true),
    tokens: limits,
    reading: null,
    ...others,
    sources: { rows: rows === null ? 'the published size' : 'as given', tokens: atLimits, model },
  };
}

/** Rows that a run uses of files with as many rows as were published. */
function publishedRows({ data, evaluate }: Recipe, rows: readonly number[]): number {
  const mixture = mixtureOf(data);
  const total = sum(rows);
  if (mixture === null || Number.isNaN(total)) return Math.min(total - evaluate.holdOut, data.limit ?? total);
  return sum(mixtureCounts(mixture, { usable: rows, names: sourceNames(data.train), limit: data.limit }));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** How many held-out prompts there are: as many as the file has rows that can be used, up to the limit. */
async function heldOutPrompts(recipe: Recipe): Promise<number | null> {
  const { prompts, holdOut, limit } = recipe.evaluate;
  if (prompts === null) return Math.min(holdOut, limit ?? holdOut);
  if (!existsSync(prompts)) return null;
  let count = 0;
  for await (const row of promptsAlone(readRows([prompts], heldOutColumns(recipe)))) {
    if (limit !== null && count >= limit) break;
    count += row.kind === 'row' ? 1 : 0;
  }
  return count;
}

/** Tokens of the conversations of a fine-tuning. */
async function conversations({ sft }: Recipe, modelIsHere: boolean): Promise<RecipeFacts['fineTuning']> {
  if (sft === null || !modelIsHere || !sft.data.train.every((file) => existsSync(file))) return null;
  const { trees } = await loadConversations(sft, loadTokenizer(baseDirectory(sft.model)));
  return {
    tokens: trees.reduce((sum, tree) => sum + conversationTokens(tree), 0),
    scored: trees.reduce((sum, tree) => sum + scoredTokens(tree, 0), 0),
  };
}

/** Rows that are usable, and mean tokens where there is a tokenizer and the rows have responses to measure. */
async function measured(
  recipe: Recipe,
  hasTokenizer: boolean,
): Promise<{ rows: number; hasPairs: boolean; tokens: TokenFacts | null; reading: string | null }> {
  const tokenizer = hasTokenizer ? loadTokenizer(baseDirectory(recipe.model)) : null;
  const totals = { rows: 0, prompt: 0, longestPrompt: 0, responses: 0, response: 0 };
  const reading = tokenizer === null ? UNMEASURED : modelReading(tokenizer, recipe.text);
  const measure = (rows: readonly MeasuredText[]): readonly Measured[] => {
    const measured = reading.measure(rows);
    for (const each of measured) {
      if (tokenizer === null || each.kind === 'fault') continue;
      const { prompt, responses } = each.measure;
      totals.rows += 1;
      totals.prompt += prompt;
      totals.longestPrompt = Math.max(totals.longestPrompt, prompt);
      totals.responses += responses.length;
      totals.response += responses.reduce((sum, length) => sum + length, 0);
    }
    return measured;
  };
  const { train, columns, limit, onBadRow } = recipe.data;
  const { holdOut: count } = recipe.evaluate;
  const heldOut =
    count === 0 ? [] : await chooseHeldOut(readRows(train, columns), { count, seed: recipe.seed, onBadRow });
  const mixture = mixtureOf(recipe.data);
  const sources = sourcesOfFiles(train);
  const names = sources.map(({ name }) => name);
  const parts = sources.map(({ files, name }) => namedRows(withoutPrompts(readRows(files, columns), heldOut), name));
  const audit = await auditRows(inTurn(parts), {
    ...reading,
    onBadRow,
    limit: mixture === null ? limit : null,
    measure,
  });
  const usable = names.map((name) => audit.usedOf.get(name) ?? 0);
  const used = mixture === null ? audit.used : sum(mixtureCounts(mixture, { usable, names, limit }));
  const hasPairs = audit.promptsAlone < audit.used;
  const reads = tokenizer === null ? null : formatReading(audit);
  if (totals.rows === 0) return { rows: used, hasPairs, tokens: null, reading: reads };
  const { maxNewTokens } = recipe.sampling;
  const response = totals.responses > 0 ? totals.response / totals.responses : maxNewTokens;
  const sampled = Math.min(response, maxNewTokens);
  const tokens = {
    prompt: totals.prompt / totals.rows,
    longestPrompt: totals.longestPrompt,
    response,
    sampled,
    atMost: totals.responses === 0,
  };
  return { rows: used, hasPairs, tokens, reading: reads };
}

/** `owner/name` or `owner/name:split` of a name on the Hub, without its revision; the text itself for a path. */
function nameOnHub(text: string): string {
  return text.replace(/^.*\bhub:/, '').replace(/@[^:]*/, '');
}
