/**
 * @file A whole run: what the recipe names is fetched, a fine-tuning first where asked for, the iterations of Algorithm 1,
 * the same with alpha = 0 after it or beside it, and the report. Called again on the same recipe it goes on where it stopped.
 */
import { join } from 'node:path';
import { waitUntilUnlocked } from '../files/lock.ts';
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
import { fetchInputs, type InputOptions } from './inputs.ts';
import { checkInputs, type ResolvedRecipe, runIterations, type Surroundings } from './iterations.ts';
import { isModelThere } from './lost-models.ts';
import type { TwinWork } from './process/messages.ts';
import { fineTune } from './sft.ts';
import { refuseTwinBesideRanks, runWithTwin, twinOf } from './twin.ts';

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
export async function runRecipe(written: Recipe, options: RunOptions = {}): Promise<RunOutcome> {
  refuseTwinBesideRanks(written, options.team ?? ALONE);
  const { given, surroundings } = await open(written, options);
  const recipe = written.sft === null ? given : await fineTuneFirst(given, written.sft, surroundings);
  const modelPath = await runWithTwin(recipe, surroundings);

  const report = collectReport(recipe.written, written.evaluate.twin === false ? null : twinOf(recipe.written));
  const reportPath = join(written.output, 'report.html');
  writeReport(reportPath, report);
  const best = join(written.output, 'best');
  const bestPath = written.evaluate.keepBest !== null && isModelThere(best) ? best : null;
  return { path: written.output, modelPath, bestPath, reportPath, summary: summariseReport(report) };
}

/** How long the process of a run that was killed may take to notice: a step of a large model takes minutes on a processor. */
const LEFT_BEHIND_MS = 300_000;

/** Runs the iterations of a run's twin, in its process: the fine-tuning and the report are the run's. */
export async function runTwin(
  { recipe, threads, hub, acceptChanges, waits }: TwinWork,
  watching: Pick<RunOptions, 'watch' | 'signal'>,
): Promise<void> {
  const { given, surroundings } = await open({ ...recipe, threads }, { ...watching, acceptChanges, waits, hub });
  // Of a run that was killed the twin works on until its next pause.
  await waitUntilUnlocked(join(recipe.output, 'run.lock'), { limitMs: LEFT_BEHIND_MS, signal: watching.signal });
  await runIterations({ ...given, written: recipe }, surroundings);
}

/** Sets the engine up for a recipe, and fetches what it names. */
async function open(
  written: Recipe,
  {
    watch = () => {},
    signal,
    acceptChanges = false,
    waits = true,
    team = ALONE,
    hub,
  }: RunOptions & Pick<InputOptions, 'hub'>,
): Promise<{ given: ResolvedRecipe; surroundings: Surroundings }> {
  if (written.threads !== null) setThreads(written.threads);
  const { device, note } = chooseDevice(deviceWishOf(written));
  const surroundings: Surroundings = { announceFor: openEvents(watch), signal, acceptChanges, team, waits };
  const announce = surroundings.announceFor({ run: written.name, iteration: 0 });

  if (note !== null) announce({ kind: 'note', text: note });
  const inputs = await fetchInputs(written, { announce, signal, hub });
  const given: ResolvedRecipe = {
    written,
    local: { ...inputs.recipe, device },
    hub: inputs.hub,
    sources: inputs.sources,
    benchmarks: inputs.benchmarks,
    alpaca: inputs.alpaca,
  };
  return { given, surroundings };
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
