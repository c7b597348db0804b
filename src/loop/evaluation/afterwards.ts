/**
 * @file Measures what people's labels changed in an iteration. The new policy answers the prompts that people judged,
 * with the random numbers of the old one, and both policies score the pairs that came of people's answers.
 */
import { join } from 'node:path';
import { RunError } from '../../errors.ts';
import { baseDirectory } from '../../model/adapter/adapter.ts';
import { randomKey } from '../../random.ts';
import { peopleFolder, readQuestions } from '../../rank/people/questions.ts';
import { ALONE } from '../../ranks/team.ts';
import type { Recipe } from '../../recipe/schema.ts';
import type { GenerationRequest } from '../../sample/generate.ts';
import { type Afterwards, writeAfterwards } from '../../store/afterwards.ts';
import { type Ledger, openLedger } from '../../store/ledger.ts';
import type { StoredPair } from '../../store/ledger-rows.ts';
import { type Prompt, renderSamplingPrompts } from '../../text/rendering.ts';
import { shownPrompt } from '../../text/shown.ts';
import { loadTokenizer } from '../../text/tokenizer/tokenizer.ts';
import { fetchInputs } from '../inputs.ts';
import { isModelThere } from '../lost-models.ts';
import { sampledResponses } from '../stages/responses.ts';
import { sampleTogether } from '../stages/sampling.ts';
import { scorePairs, treesOf } from './pair-scores.ts';

export interface AfterwardsOptions {
  iteration: number;
  /** Prompts that are looked at, in the order in which people were asked about them. */
  limit: number;
  signal?: AbortSignal | undefined;
}

/** Measures an iteration and keeps it in the run's folder. Throws RunError AFTERWARDS_NOTHING or MODEL_GONE. */
export async function measureAfterwards(
  written: Recipe,
  { iteration, limit, signal }: AfterwardsOptions,
): Promise<Afterwards['prompts']> {
  const { recipe } = await fetchInputs(written, { announce: () => {}, signal });
  using ledger = openLedger(join(recipe.output, 'run.db'), { access: 'read' });
  const pairs = labelledPairs(ledger, recipe, iteration).slice(0, limit);
  if (pairs.length === 0) {
    throw new RunError(
      'AFTERWARDS_NOTHING',
      `Cannot say what labels moved in iteration ${iteration} of "${recipe.output}": people's answers made no pair there: give another --iteration, or let people answer first`,
    );
  }
  const rows = pairs.flatMap(({ promptId, chosen, rejected }) => {
    const row = ledger.row(promptId);
    return row === null ? [] : [{ promptId, prompt: row.prompt, chosen, rejected, source: row.source }];
  });
  const models = { before: modelBefore(recipe, iteration), after: modelOf(recipe, iteration) };
  const trees = treesOf(recipe, rows);
  const [initial, before, after] = [
    await scorePairs(recipe, { directory: recipe.model, trees, signal }),
    await scorePairs(recipe, { directory: models.before, trees, signal }),
    await scorePairs(recipe, { directory: models.after, trees, signal }),
  ];
  const { beta } = recipe.objective.preference;
  const marginOf = ({ chosen, rejected }: typeof initial, index: number): number => {
    const gap = (of: typeof initial): number => (of.chosen[index] ?? Number.NaN) - (of.rejected[index] ?? Number.NaN);
    return beta * (gap({ chosen, rejected }) - gap(initial));
  };
  const old = ledger.responses(iteration).filter(({ sampleIndex }) => sampleIndex < recipe.sampling.samples);
  const fresh = await sampleAgain(recipe, rows, { iteration, model: models.after, signal });
  const prompts = rows.map(({ promptId, prompt, chosen, rejected }, index) => ({
    promptId,
    prompt: shownPrompt(prompt),
    chosen,
    rejected,
    marginBefore: marginOf(before, index),
    marginAfter: marginOf(after, index),
    before: old.filter((each) => each.promptId === promptId).map(({ text }) => text),
    after: fresh.get(promptId) ?? [],
  }));
  writeAfterwards(recipe.output, { iteration, beta, prompts });
  return prompts;
}

/** The pairs of prompts that somebody answered about, in the order in which they were asked. */
function labelledPairs(ledger: Ledger, { output }: Recipe, iteration: number): StoredPair[] {
  const { asked, answersTo } = readQuestions(peopleFolder(output));
  const pairs = new Map(ledger.pairs(iteration).map((pair) => [pair.promptId, pair]));
  const prompts = new Set([...asked.values()].flatMap(({ id, promptId }) => (answersTo.has(id) ? [promptId] : [])));
  return [...prompts].flatMap((promptId) => pairs.get(promptId) ?? []);
}

/** The new policy's answers, by prompt and in the order of their indices. */
async function sampleAgain(
  recipe: Recipe,
  rows: readonly { promptId: string; prompt: Prompt }[],
  { iteration, model, signal }: { iteration: number; model: string; signal: AbortSignal | undefined },
): Promise<Map<string, string[]>> {
  const { sampling, text, seed } = recipe;
  const { samples, stop } = sampling;
  const tokenizer = loadTokenizer(baseDirectory(recipe.model));
  try {
    const promptIds = renderSamplingPrompts(
      tokenizer,
      rows.map(({ prompt }) => prompt),
      text,
    );
    const requests = rows.map(
      ({ promptId }, i): GenerationRequest => ({
        promptId,
        promptIds: promptIds[i] ?? [],
        samples: Array.from({ length: samples }, (_, sampleIndex) => ({
          sampleIndex,
          key: randomKey(seed, 'sample', iteration, promptId, sampleIndex),
        })),
      }),
    );
    const context = { recipe, tokenizer, team: ALONE, signal };
    const found = new Map<string, string[]>();
    for await (const responses of sampleTogether(context, requests, { modelDirectory: model })) {
      for (const { sequence, kept } of sampledResponses(tokenizer, responses, stop)) {
        const texts = found.get(sequence.promptId) ?? [];
        texts[sequence.sampleIndex] = kept.text;
        found.set(sequence.promptId, texts);
      }
    }
    return found;
  } finally {
    tokenizer.close();
  }
}

/** What sampled in an iteration: the model before it, a warm start's or a fine-tuning's, or the one that the run began with. */
function modelBefore(recipe: Recipe, iteration: number): string {
  if (iteration > 1 || recipe.warmStart !== 'none') return modelOf(recipe, iteration - 1);
  return recipe.sft === null ? recipe.model : join(recipe.output, 'sft', 'model');
}

function modelOf({ output }: Recipe, iteration: number): string {
  const path = join(output, `iteration-${iteration}`, 'model');
  if (isModelThere(path)) return path;
  throw new RunError(
    'MODEL_GONE',
    `Cannot say what labels moved: the model of iteration ${iteration} of "${output}" is not there (any more): run its recipe, or give another --iteration`,
    { details: { path } },
  );
}
