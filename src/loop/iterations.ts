/**
 * @file The iterations of a run, one after the other: the data and their audit, a warm start where asked for, T times
 * Algorithm 1 (iteration.ts), and a measurement after each.
 */
import { basename, join } from 'node:path';
import type { DataSource } from '../data/mixture.ts';
import type { PreferenceRow } from '../data/rows.ts';
import { InterruptedError, SelmError } from '../errors.ts';
import type { PlacedTask } from '../evaluate/benchmarks/tasks.ts';
import { refuseLocked } from '../files/lock.ts';
import type { HubPin } from '../hub/fetch.ts';
import { baseDirectory } from '../model/adapter/adapter.ts';
import { readWeights } from '../model/fingerprint.ts';
import { ALONE, refuseIdle, type Team } from '../ranks/team.ts';
import { licenseLine } from '../recipe/licenses.ts';
import type { Recipe } from '../recipe/schema.ts';
import { changesRankers } from '../store/changes.ts';
import { openEventLog } from '../store/event-log.ts';
import type { Announce, EventSource } from '../store/events.ts';
import type { Ledger } from '../store/ledger.ts';
import { putRankers } from '../store/opinions.ts';
import { readingAsBefore } from '../store/run-config.ts';
import { openRun, type Run, tellResumed } from '../store/run-directory.ts';
import { loadTokenizer, type Tokenizer } from '../text/tokenizer/tokenizer.ts';
import { engineVersion } from '../torch/native.ts';
import { measuredValues } from '../track/measured.ts';
import { openTracking } from '../track/tracking.ts';
import { checkModel } from './check-model.ts';
import { loadHeldOut, loadTrainingData, type TrainingData } from './data.ts';
import { type AlpacaFiles, loadAlpaca } from './evaluation/alpaca.ts';
import { loadBenchmarks } from './evaluation/benchmarks.ts';
import { checkCourse, endsHere, keepBest } from './evaluation/course.ts';
import { type Measures, measureModel } from './evaluation/measure.ts';
import { checkMtBench } from './evaluation/mt-bench.ts';
import { runIteration, runWarmStart } from './iteration.ts';
import { isModelThere, lostModels, type ModelState } from './lost-models.ts';
import { writeModelCard } from './model-card.ts';
import { openRankers, type Rankers } from './rankers.ts';
import { measuresExploration } from './stages/explore-plan.ts';
import type { IterationContext } from './stages/stage.ts';

/** A recipe twice: as it was written, which is what the run's record says, and with paths in place of names on the Hub. */
export interface ResolvedRecipe {
  written: Recipe;
  local: Recipe;
  /** The commits that those names stood for. */
  hub: HubPin[];
  /** What the entries of its `data.train` stand for. */
  sources: readonly DataSource[];
  /** What it measures on, with the files of the rows. */
  benchmarks: readonly PlacedTask[];
  /** The files of AlpacaEval; null where it is not measured. */
  alpaca: AlpacaFiles | null;
}

/** What a run is watched and stopped by. */
export interface Surroundings {
  announceFor: (source: EventSource) => Announce;
  signal: AbortSignal | undefined;
  /** Whether settings may change with which something was made already. */
  acceptChanges: boolean;
  /** The processes that the run has. */
  team: Team;
  /** Whether it waits for people, or ends where it asks them. */
  waits: boolean;
}

/** What the iterations work on: all of it was read and checked. */
interface Inputs {
  tokenizer: Tokenizer;
  data: TrainingData;
  measures: Measures;
}

/** Runs all iterations of a recipe that are left, and returns the folder of the last model. */
export async function runIterations(resolved: ResolvedRecipe, surroundings: Surroundings): Promise<string> {
  const { hub } = resolved;
  const [written, local] = [readingAsBefore(resolved.written), readingAsBefore(resolved.local)];
  const announce = surroundings.announceFor({ run: written.name, iteration: 0 });
  // A run that another process works in is told before the data are read, which may take minutes.
  refuseLocked(join(written.output, 'run.lock'));
  // Everything that can be wrong with the input is found here, before a run directory exists.
  const inputs = await readInputs({ ...resolved, local }, announce);
  const { signal, team, waits } = surroundings;
  refuseIdle(team.group, { count: inputs.data.fewest, what: 'the smallest slice of prompts' });
  const rankers = await openRankers(local, { announce, signal, team, waits });
  try {
    const { acceptChanges } = surroundings;
    await readWeights(local.model);
    const { sources } = rankers;
    using run = openRun(written, { local, hub, rankers: sources, libtorchVersion: engineVersion(), acceptChanges });
    const { ledger } = run;
    // Told after the log: whoever reads the run's folder sees what the caller sees.
    using log = openEventLog(run.path, { report: (text) => announce({ kind: 'warning', text }) });
    const source = {
      path: run.path,
      recipe: run.recipe,
      changes: run.changes,
      ledger,
      measured: () => measuredValues(ledger),
    };
    const tracking = openTracking(source, { announce: log.through(announce, { iteration: 0 }) });
    const announceFor = (source: EventSource): Announce =>
      log.through(tracking.through(surroundings.announceFor(source), source), source);
    rankers.keepAnswersIn(ledger);
    tellResumed(run, announceFor({ run: written.name, iteration: 0 }));
    const ids = { first: rankers.first.id, second: rankers.second?.id ?? null };
    putRankers(ledger, ids, { areTheSame: !changesRankers(run.changes) });
    const licenses = licenseLine(written.data, (file) => basename(file));
    ledger.putRecord(0, 'data-audit', { text: `${inputs.data.audit}\n${licenses}`, used: inputs.data.used });
    const work = (): Promise<string> => iterate(run, inputs, { ...surroundings, announceFor, rankers });
    return await log.during(() => tracking.during(() => noteFailure(ledger, work)));
  } finally {
    await rankers.close();
  }
}

/** Reads and checks all that the iterations of a recipe need, and keeps none of it. */
export async function checkInputs(given: GivenInputs, signal: AbortSignal | undefined): Promise<void> {
  const announce = (): void => {};
  await readInputs(given, announce);
  await (await openRankers(given.local, { announce, signal, team: ALONE })).close();
}

async function iterate(
  run: Run,
  { tokenizer, data, measures }: Inputs,
  { announceFor, signal, team, rankers }: Surroundings & { rankers: Rankers },
): Promise<string> {
  const { local: recipe, ledger } = run;
  const contextOf = (iteration: number): IterationContext => ({
    recipe,
    run,
    ledger,
    tokenizer,
    ranker: rankers.first,
    secondRanker: rankers.second,
    team,
    announce: announceFor({ run: recipe.name, iteration }),
    signal,
    iteration,
  });
  /** The rows that iteration t sees: once read, they stay in the ledger, and the files are not needed for it again. */
  const rowsOf = async (iteration: number): Promise<readonly PreferenceRow[]> => {
    const known = ledger.slice(iteration);
    if (known.length > 0) return known;
    const rows = await data.slice(iteration);
    ledger.putSlice(iteration, rows);
    return rows;
  };

  const lost = findLostModels(run, { heldOut: measures.heldOut.length > 0, announce: contextOf(0).announce });
  let policyDirectory = recipe.model;
  const base = { modelDirectory: policyDirectory, previousDirectory: null, name: 'base' };
  await measureModel(contextOf(0), measures, base);
  if (recipe.warmStart === 'dpo') {
    const rows = await rowsOf(0);
    const again = lost.has(0);
    await runWarmStart(contextOf(0), { rows, policyDirectory, referenceDirectory: policyDirectory, again });
    writeModelCard(run, 0);
    policyDirectory = run.modelPath(0);
  }
  const initialDirectory = policyDirectory;
  for (let t = 1; t <= recipe.iterations; t++) {
    const previousDirectory = policyDirectory;
    const referenceDirectory = recipe.reference === 'previous' ? policyDirectory : initialDirectory;
    await runIteration(contextOf(t), {
      rows: await rowsOf(t),
      earlierRows: usesEarlierRows(recipe) ? earlierRows(ledger, t) : [],
      policyDirectory,
      referenceDirectory,
      again: lost.has(t),
    });
    policyDirectory = run.modelPath(t);
    const measured = { modelDirectory: policyDirectory, previousDirectory, name: `iteration ${t}` };
    await measureModel(contextOf(t), measures, measured);
    keepBest(contextOf(t));
    writeModelCard(run, t);
    if (endsHere(contextOf(t))) break;
  }
  return policyDirectory;
}

/** Whether an iteration trains, or learns rewards, on what earlier ones saw: only then are those rows in memory. */
function usesEarlierRows({ accumulate, rewardModel, select }: Recipe): boolean {
  return accumulate || rewardModel !== null || select?.beliefs === 'reward-model';
}

/** What iterations 1 to t - 1 saw. */
function earlierRows(ledger: Ledger, t: number): PreferenceRow[] {
  return Array.from({ length: t - 1 }, (_, index) => ledger.slice(index + 1)).flat();
}

/** Keeps in the ledger why a stage failed, for whoever looks at the run later. A stop that was asked for is no failure. */
async function noteFailure<Result>(ledger: Ledger, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SelmError && !(error instanceof InterruptedError)) {
      try {
        ledger.stages.failRunning(error);
      } catch {
        // A disk that is full or gone fails here again; the first error is the one to report.
      }
    }
    throw error;
  }
}

/** A recipe of local paths, and where its benchmarks are. */
type GivenInputs = Pick<ResolvedRecipe, 'local' | 'sources' | 'benchmarks' | 'alpaca'>;

/** Checks the model and reads the data. Throws ModelError, TextError or DataError. */
async function readInputs(
  { local: recipe, sources, benchmarks: placed, alpaca }: GivenInputs,
  announce: Announce,
): Promise<Inputs> {
  const tokenizer = loadTokenizer(baseDirectory(recipe.model));
  checkModel(recipe);
  const benchmarks = await loadBenchmarks(recipe, placed);
  const reference = await loadAlpaca(recipe.evaluate, alpaca);
  await checkMtBench(recipe.evaluate);
  const data = await loadTrainingData(recipe, { sources, tokenizer, announce });
  const heldOut = await loadHeldOut(recipe, { tokenizer, announce, trainingKinds: data.kinds });
  checkCourse(recipe, { heldOut: heldOut.length, tasks: benchmarks, instructions: reference?.rows.length ?? 0 });
  return { tokenizer, data, measures: { heldOut, benchmarks, reference } };
}

/** The finished iterations whose model is gone and needed: reported, and trained again. */
function findLostModels(run: Run, { heldOut, announce }: { heldOut: boolean; announce: Announce }): Set<number> {
  const { recipe, ledger } = run;
  const first = recipe.warmStart === 'none' ? 1 : 0;
  const isFinished = (iteration: number, stage: string): boolean =>
    ledger.stages.status(iteration, stage) === 'finished';
  const states = Array.from({ length: recipe.iterations + 1 - first }, (_, index): ModelState => {
    const iteration = first + index;
    const trained = isFinished(iteration, 'train');
    const measured = !heldOut || iteration === 0 || isFinished(iteration, 'evaluate');
    const explored = !measuresExploration(recipe) || iteration === 0 || isFinished(iteration, 'explore');
    return {
      iteration,
      trained,
      finished: trained && measured && explored,
      present: isModelThere(run.modelPath(iteration)),
    };
  });
  const lost = lostModels(states, recipe.reference);
  for (const t of lost) {
    const text = `The model of iteration ${t} is gone from ${run.modelPath(t)}: it is trained again`;
    announce({ kind: 'warning', text });
  }
  return lost;
}
