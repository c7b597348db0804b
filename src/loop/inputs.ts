/**
 * @file Fetches what a recipe names on the Hub, before anything else. The run records the commits that the names stood
 * for. When it continues it takes those again, even if the branches have moved.
 */

import { dirname } from 'node:path';
import { type DataSource, sourceNames, sourcesOfFiles } from '../data/mixture.ts';
import { HubError } from '../errors.ts';
import { BASELINE_HUB_NAME } from '../evaluate/alpaca/protocol.ts';
import { GAMED_HUB_NAME, OWN_INSTRUCTIONS, placeSharedFacts } from '../evaluate/alpaca/shared-facts.ts';
import { hubNamesOf, type PlacedTask, placeTask } from '../evaluate/benchmarks/tasks.ts';
import { type FetchOptions, fetchData, type HubPin } from '../hub/fetch.ts';
import { localFiles, localModel } from '../hub/local.ts';
import { isHubName } from '../hub/name.ts';
import { hubSettings } from '../hub/settings.ts';
import { resolveRanker } from '../recipe/load.ts';
import type { AlpacaSettings, Recipe } from '../recipe/schema.ts';
import { withRankers } from '../recipe/second-ranker.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import type { Announce } from '../store/events.ts';
import { type AnyRecipe, readRunConfig } from '../store/run-config.ts';
import type { AlpacaFiles } from './evaluation/alpaca.ts';
import { tasksOf } from './evaluation/benchmarks.ts';

/** A recipe of local paths, and the commits of what was fetched for it. */
export interface LocalInputs<R extends AnyRecipe = Recipe> {
  recipe: R;
  hub: HubPin[];
}

/** The same of a recipe of `selm train`, with the sources of its rows and the files of its benchmarks. */
export interface TrainInputs extends LocalInputs {
  sources: DataSource[];
  benchmarks: PlacedTask[];
  /** Null where it is not measured. */
  alpaca: AlpacaFiles | null;
}

/** Options of the functions that fetch. */
export interface InputOptions {
  announce: Announce;
  signal?: AbortSignal | undefined;
  /** Commits that are known beside those of the run's record. @default [] */
  hub?: readonly HubPin[] | undefined;
}

/** Fetches what the cache lacks of a recipe. HubError, DataError of a benchmark, or FileError when the disk is full. */
export async function fetchInputs(recipe: Recipe, options: InputOptions): Promise<TrainInputs> {
  const models: string[] = [];
  replaceModels(recipe, (place) => {
    models.push(place);
    return place;
  });
  const { data, sft, evaluate } = recipe;
  const { prompts } = evaluate;
  const tasks = evaluate.benchmarks === null ? [] : tasksOf(evaluate.benchmarks);
  const folder = evaluate.benchmarks?.data ?? null;
  const alpacaPlace = evaluate.alpaca === null ? null : (evaluate.alpaca.reference ?? BASELINE_HUB_NAME);
  const places = [
    ...[...models, ...data.train, ...(sft?.data.train ?? [])],
    ...(prompts === null ? [] : [prompts]),
    ...(folder === null ? tasks.flatMap(hubNamesOf) : []),
    ...(alpacaPlace === null ? [] : [alpacaPlace]),
  ];
  const access = accessFor(recipe, places, options);
  const benchmarks: PlacedTask[] = [];
  for (const task of tasks) {
    const fetch = async (name: string): Promise<string[]> => (access === null ? [] : fetchData(name, access));
    benchmarks.push(await placeTask(task, folder === null ? { fetch } : { folder }));
  }
  const alpaca = evaluate.alpaca === null ? null : await alpacaFiles(evaluate.alpaca, access);
  if (access === null) return { recipe, hub: [], sources: sourcesOfFiles(data.train), benchmarks, alpaca };

  const found = new Map<string, string>();
  for (const place of models) found.set(place, await localModel(place, access));
  const sources = await sourcesOf(data.train, access);
  const train = sources.flatMap(({ files }) => files);
  const local = replaceModels(recipe, (place) => found.get(place) ?? place);
  const heldOut = prompts !== null && isHubName(prompts) ? await oneFile(prompts, access) : prompts;
  const tuned = sft === null ? null : await localSft(sft, access);
  tellCommits(access.pins, options.announce);
  return {
    recipe: { ...local, data: { ...data, train }, sft: tuned, evaluate: { ...evaluate, prompts: heldOut } },
    hub: access.pins,
    sources,
    benchmarks,
    alpaca,
  };
}

/** What each entry of `data.train` stands for: a file, or those of a name on the Hub. */
async function sourcesOf(train: readonly string[], access: FetchOptions): Promise<DataSource[]> {
  const names = sourceNames(train);
  const sources: DataSource[] = [];
  for (const [i, place] of train.entries())
    sources.push({ name: names[i] ?? '', files: await localFiles([place], access) });
  return sources;
}

/** Without the facts that all models share a win rate still stands, so that their lack is told and not thrown. */
async function alpacaFiles({ reference, data }: AlpacaSettings, access: FetchOptions | null): Promise<AlpacaFiles> {
  const local = async (place: string): Promise<string> =>
    access === null ? place : ((await localFiles([place], access))[0] ?? place);
  const own = reference === null || isHubName(reference) ? null : reference;
  const found = placeSharedFacts({ folder: data, near: own === null ? [] : [dirname(own), dirname(dirname(own))] });
  const file = await local(reference ?? BASELINE_HUB_NAME);
  if (found !== null) return { reference: file, shared: found };
  if (reference !== null) return { reference: file, shared: { problem: OWN_INSTRUCTIONS } };
  try {
    return { reference: file, shared: await local(GAMED_HUB_NAME) };
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    return { reference: file, shared: { problem: error.message } };
  }
}

/** As fetchInputs, for a supervised fine-tuning. */
export async function fetchSftInputs(recipe: SftRecipe, options: InputOptions): Promise<LocalInputs<SftRecipe>> {
  const access = accessFor(recipe, [recipe.model, ...recipe.data.train], options);
  if (access === null) return { recipe, hub: [] };
  const local = await localSft(recipe, access);
  tellCommits(access.pins, options.announce);
  return { recipe: local, hub: access.pins };
}

async function localSft(recipe: SftRecipe, access: FetchOptions): Promise<SftRecipe> {
  const model = await localModel(recipe.model, access);
  return { ...recipe, model, data: { ...recipe.data, train: await localFiles(recipe.data.train, access) } };
}

/** How to fetch for a run, with the commits that it is bound to; null when nothing is on the Hub. */
function accessFor(
  { output }: AnyRecipe,
  places: readonly string[],
  { announce, signal, hub = [] }: InputOptions,
): FetchOptions | null {
  if (!places.some(isHubName)) return null;
  // Of two commits for one name the first counts: the record's.
  const pins = [...(readRunConfig<AnyRecipe>(output)?.hub ?? []), ...hub];
  return { settings: hubSettings(), pins, tell: (text) => announce({ kind: 'note', text }), signal };
}

function tellCommits(pins: readonly HubPin[], announce: Announce): void {
  for (const { type, repository, revision, commit } of pins) {
    const text = `Hub: ${type} ${repository} at ${commit}${revision === commit ? '' : ` (${revision})`}`;
    announce({ kind: 'note', text });
  }
}

/** The recipe with every model folder changed: its own, and those of its rankers. */
function replaceModels(recipe: Recipe, change: (place: string) => string): Recipe {
  const rankerOf = (settings: Recipe['ranker']): Recipe['ranker'] =>
    resolveRanker(settings, (key, path) => (key === 'model' ? change(path) : path));
  return { ...withRankers(recipe, rankerOf), model: change(recipe.model) };
}

async function oneFile(name: string, options: FetchOptions): Promise<string> {
  const files = await fetchData(name, options);
  const [file] = files;
  if (file !== undefined && files.length === 1) return file;
  throw new HubError(
    'HUB_SEVERAL_FILES',
    `Cannot use "${name}" as evaluate.prompts: it is ${files.length} files: name one of them by its path in the repository`,
    { details: { name, files: files.length } },
  );
}
