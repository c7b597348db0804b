/**
 * @file A whole run: the data and their audit, a warm start where asked for, T iterations of Algorithm 1, a measurement
 * after each, and the report. Called again on the same recipe it goes on where it stopped.
 */
import { join } from 'node:path';
import { writeFileAtomic } from '../files/atomic.ts';
import type { HubPin } from '../hub/fetch.ts';
import { baseDirectory } from '../model/adapter/adapter.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import { collectReport } from '../report/collect.ts';
import { renderReport, summariseReport } from '../report/report.ts';
import type { Watch } from '../store/events.ts';
import { putRankerIds } from '../store/opinions.ts';
import { openRun, type Run, tellResumed } from '../store/run-directory.ts';
import { loadTokenizer } from '../text/tokenizer.ts';
import { requireDevice } from '../torch/device.ts';
import { engineVersion, setThreads } from '../torch/native.ts';
import { checkModel } from './check-model.ts';
import { loadHeldOut, loadTrainingData } from './data.ts';
import { fetchInputs } from './inputs.ts';
import { measuresExploration, runIteration, runWarmStart } from './iteration.ts';
import { isModelThere, lostModels, type ModelState } from './lost-models.ts';
import { writeModelCard } from './model-card.ts';
import { openRankers } from './rankers.ts';
import { runSft } from './sft.ts';
import { evaluateModel } from './stages/evaluate.ts';
import type { IterationContext } from './stages/stage.ts';

export interface RunOptions {
  watch?: Watch | undefined;
  /** Aborting it stops the run at the next safe point; what is finished is kept. */
  signal?: AbortSignal | undefined;
}

export interface RunOutcome {
  /** Run directory. */
  path: string;
  /** Model of the last iteration, in Hugging Face layout. */
  modelPath: string;
  /** Null when nothing was measured (no held-out prompts in the recipe). */
  reportPath: string | null;
  /** The report as a few lines of text. */
  summary: string | null;
}

/** Runs a recipe to its end, and its alpha = 0 twin when the recipe asks for it. */
export async function runRecipe(asked: Recipe, options: RunOptions = {}): Promise<RunOutcome> {
  const watch = options.watch ?? (() => {});
  if (asked.threads !== null) setThreads(asked.threads);
  requireDevice(asked.device);
  const inputs = await fetchInputs(asked, { watch, signal: options.signal });
  const given: Method = { asked, local: inputs.recipe, hub: inputs.hub };
  const method = asked.sft === null ? given : await fineTuned(given, asked.sft, { ...options, watch });
  const { asked: recipe, local, hub } = method;
  const modelPath = await runMethod(method, { ...options, watch });
  const twin = recipe.evaluate.twin ? twinOf(recipe) : null;
  if (twin !== null) {
    watch({ kind: 'note', text: `The same again with alpha = 0 (iterative DPO), in ${twin.output}` });
    await runMethod({ asked: twin, local: twinOf(local), hub }, { ...options, watch });
  }
  const outcome = { path: recipe.output, modelPath };
  const report = collectReport(recipe, twin);
  if (report === null) return { ...outcome, reportPath: null, summary: null };
  const reportPath = join(recipe.output, 'report.html');
  writeFileAtomic(reportPath, renderReport(report));
  return { ...outcome, reportPath, summary: summariseReport(report) };
}

/** The recipe with its first policy made by supervised fine-tuning, a run of its own inside the run. */
async function fineTuned(method: Method, sft: SftRecipe, options: RunOptions & { watch: Watch }): Promise<Method> {
  const { asked, local, hub } = method;
  const { watch, signal } = options;
  if (!isModelThere(join(sft.output, 'model'))) {
    // A mistake in what comes after is told before the time of a fine-tuning is spent.
    await readInputs(local, { watch: () => {} });
    await (await openRankers(local, { watch: () => {}, signal })).close();
  }
  watch({ kind: 'note', text: `Supervised fine-tuning first, in ${sft.output}` });
  const { modelPath: model } = await runSft(sft, { ...options, hub });
  return { asked: { ...asked, model }, local: { ...local, model }, hub };
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

/** A recipe as it was given, which is what the run's record says, and with paths in place of names on the Hub. */
interface Method {
  asked: Recipe;
  local: Recipe;
  hub: HubPin[];
}

async function runMethod(
  { asked, local: recipe, hub }: Method,
  { watch, signal }: RunOptions & { watch: Watch },
): Promise<string> {
  // Everything that can be wrong with the input is found here, before a run directory exists.
  const { tokenizer, data, heldOut } = await readInputs(recipe, { watch });
  const rankers = await openRankers(recipe, { watch, signal });
  try {
    using run = openRun(asked, { local: recipe, hub, libtorchVersion: engineVersion() });
    const { ledger } = run;
    rankers.keepAnswersIn(ledger);
    putRankerIds(ledger, { first: rankers.first.id, second: rankers.second?.id ?? null });
    tellResumed(run, watch);
    ledger.putAudit(0, 'data', { text: data.audit });
    const contextOf = (iteration: number): IterationContext => ({
      recipe,
      run,
      ledger,
      tokenizer,
      ranker: rankers.first,
      secondRanker: rankers.second,
      watch,
      signal,
      iteration,
    });

    const lost = findLostModels(run, { heldOut: heldOut.length > 0, watch });
    let policyDirectory = recipe.model;
    await evaluateModel(contextOf(0), {
      heldOut,
      modelDirectory: policyDirectory,
      previousDirectory: null,
      name: 'base',
    });
    if (recipe.warmStart === 'dpo') {
      const rows = await data.slice(0);
      const again = lost.has(0);
      await runWarmStart(contextOf(0), { rows, policyDirectory, referenceDirectory: policyDirectory, again });
      writeModelCard(run, 0);
      policyDirectory = run.modelPath(0);
    }
    const initialDirectory = policyDirectory;
    for (let t = 1; t <= recipe.iterations; t++) {
      const context = contextOf(t);
      const rows = await data.slice(t);
      const previousDirectory = policyDirectory;
      const referenceDirectory = recipe.reference === 'previous' ? policyDirectory : initialDirectory;
      const earlierRows = await data.earlier(t);
      const input = { rows, earlierRows, policyDirectory, referenceDirectory, again: lost.has(t) };
      await runIteration(context, input);
      policyDirectory = run.modelPath(t);
      const name = `iteration ${t}`;
      await evaluateModel(context, { heldOut, modelDirectory: policyDirectory, previousDirectory, name });
      writeModelCard(run, t);
    }
    return policyDirectory;
  } finally {
    await rankers.close();
  }
}

/** Checks the model and reads the data. Throws ModelError, TextError or DataError. */
async function readInputs(recipe: Recipe, { watch }: { watch: Watch }) {
  const tokenizer = loadTokenizer(baseDirectory(recipe.model));
  checkModel(recipe);
  const data = await loadTrainingData(recipe, { tokenizer, watch });
  return { tokenizer, data, heldOut: await loadHeldOut(recipe) };
}

/** The finished iterations whose model is gone and needed: told, and trained again. */
function findLostModels(run: Run, { heldOut, watch }: { heldOut: boolean; watch: Watch }): Set<number> {
  const { recipe, ledger } = run;
  const first = recipe.warmStart === 'none' ? 1 : 0;
  const states = Array.from({ length: recipe.iterations + 1 - first }, (_, index): ModelState => {
    const iteration = first + index;
    const trained = ledger.stageStatus(iteration, 'train') === 'finished';
    const measured = !heldOut || iteration === 0 || ledger.stageStatus(iteration, 'evaluate') === 'finished';
    const explored =
      !measuresExploration(recipe) || iteration === 0 || ledger.stageStatus(iteration, 'explore') === 'finished';
    return {
      iteration,
      trained,
      finished: trained && measured && explored,
      present: isModelThere(run.modelPath(iteration)),
    };
  });
  const lost = lostModels(states, recipe.reference);
  for (const t of lost) {
    watch({
      kind: 'warning',
      text: `The model of iteration ${t} is gone from ${run.modelPath(t)}: it is trained again`,
    });
  }
  return lost;
}
