/**
 * @file A whole run: what the recipe names is fetched, a fine-tuning first where asked for, the iterations of Algorithm 1,
 * the same again with alpha = 0 beside it, and the report. Called again on the same recipe it goes on where it stopped.
 */
import { join } from 'node:path';
import { ALONE, type Team } from '../ranks/team.ts';
import { deviceWishOf } from '../recipe/device-wish.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import { collectReport } from '../report/collect.ts';
import { summariseReport } from '../report/summary.ts';
import { writeReport } from '../report/write.ts';
import { openEvents, type Watch } from '../store/events.ts';
import { readRunConfig } from '../store/run-config.ts';
import { chooseDevice } from '../torch/device.ts';
import { setThreads } from '../torch/native.ts';
import { fetchInputs } from './inputs.ts';
import { checkInputs, type ResolvedRecipe, runIterations, type Surroundings } from './iterations.ts';
import { isModelThere } from './lost-models.ts';
import { fineTune } from './sft.ts';

export interface RunOptions {
  watch?: Watch | undefined;
  /** Aborting it stops the run at the next safe point; what is finished is kept. */
  signal?: AbortSignal | undefined;
  /**
   * Go on although settings or inputs changed with which something was made already: what is finished stays, the rest is
   * done again (docs/resuming.md). @default false
   */
  acceptChanges?: boolean | undefined;
  /** Whether it waits for people; else it ends where it asks them: InterruptedError WAITING_FOR_PEOPLE. @default true */
  waits?: boolean | undefined;
  /** The processes that the run has. @default this one alone */
  team?: Team | undefined;
}

export interface RunOutcome {
  /** Run directory. */
  path: string;
  /** Model of the last iteration, in Hugging Face layout. */
  modelPath: string;
  /** The best iteration by evaluate.keepBest: a link to its model; null where none is kept. */
  bestPath: string | null;
  /** The report: one HTML file. */
  reportPath: string;
  /** The report as a few lines of text. */
  summary: string;
}

/** Runs a recipe to its end, and its alpha = 0 twin when the recipe asks for it. */
export async function runRecipe(
  written: Recipe,
  { watch = () => {}, signal, acceptChanges = false, waits = true, team = ALONE }: RunOptions = {},
): Promise<RunOutcome> {
  if (written.threads !== null) setThreads(written.threads);
  const { device, note } = chooseDevice(deviceWishOf(written));
  const surroundings: Surroundings = { announceFor: openEvents(watch), signal, acceptChanges, team, waits };
  const announce = surroundings.announceFor({ run: written.name, iteration: 0 });

  if (note !== null) announce({ kind: 'note', text: note });
  const inputs = await fetchInputs(written, { announce, signal });
  const given: ResolvedRecipe = {
    written,
    local: { ...inputs.recipe, device },
    hub: inputs.hub,
    sources: inputs.sources,
    benchmarks: inputs.benchmarks,
    alpaca: inputs.alpaca,
  };
  const recipe = written.sft === null ? given : await fineTuneFirst(given, written.sft, surroundings);
  const modelPath = await runIterations(recipe, surroundings);

  const twin = written.evaluate.twin ? twinOf(recipe.written) : null;
  if (twin !== null) {
    announce({ kind: 'note', text: `The same again with alpha = 0 (iterative DPO), in ${twin.output}` });
    await runIterations({ ...recipe, written: twin, local: twinOf(recipe.local) }, surroundings);
  }

  const report = collectReport(recipe.written, twin);
  const reportPath = join(written.output, 'report.html');
  writeReport(reportPath, report);
  const best = join(written.output, 'best');
  const bestPath = written.evaluate.keepBest !== null && isModelThere(best) ? best : null;
  return { path: written.output, modelPath, bestPath, reportPath, summary: summariseReport(report) };
}

/** The recipe with its first policy made by supervised fine-tuning, a run of its own inside the run. */
async function fineTuneFirst(
  { written, local, ...rest }: ResolvedRecipe,
  sft: SftRecipe,
  { announceFor, signal, team, acceptChanges: wanted }: Surroundings,
): Promise<ResolvedRecipe> {
  // A mistake in what comes after is reported before the time of a fine-tuning is spent.
  if (!isModelThere(join(sft.output, 'model'))) await checkInputs({ local, ...rest }, signal);
  const announce = announceFor({ run: written.name, iteration: 0 });
  announce({ kind: 'note', text: `Supervised fine-tuning first, in ${sft.output}` });
  // Where iterations have begun, they began from its model: it is not trained again under them.
  const acceptChanges = wanted && readRunConfig(written.output) === null;
  const { modelPath: model } = await fineTune(sft, { announce, signal, team, hub: rest.hub, acceptChanges });
  return { written: { ...written, model }, local: { ...local, model }, ...rest };
}

/** The recipe without its optimism term, in a folder of its own inside the run. */
export function twinOf(recipe: Recipe): Recipe {
  return {
    ...recipe,
    name: `${recipe.name}-twin`.slice(0, 64),
    output: join(recipe.output, 'twin'),
    objective: { ...recipe.objective, exploration: { kind: 'none' } },
    rewardModel: recipe.rewardModel === null ? null : { ...recipe.rewardModel, alpha: 0 },
    evaluate: { ...recipe.evaluate, twin: false },
  };
}
