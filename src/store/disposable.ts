/**
 * @file Finds what may be deleted of a run without losing anything that cannot be made again, and how much space that
 * frees. Only `deleteDisposables` deletes, and only what it is given.
 */
import { existsSync, lstatSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileError } from '../files/fs.ts';
import { refuseLocked } from '../files/lock.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { StageLog } from './ledger-stages.ts';
import type { AnyRecipe } from './run-config.ts';

/**
 * - `leftover`: of a process that died while it wrote.
 * - `checkpoint`: of a training whose model is there.
 * - `model`: of an earlier iteration, which nothing that is left to do reads. It can be trained again from the ledger, but
 *   not be measured again until then.
 */
export type DisposableKind = 'leftover' | 'checkpoint' | 'model';

export interface Disposable {
  kind: DisposableKind;
  path: string;
  bytes: number;
}

/** The part of a run that this looks at. */
export interface CleanableRun {
  path: string;
  recipe: AnyRecipe;
  ledger: { stages: Pick<StageLog, 'all'> };
}

/** Everything of a run that may be deleted, the largest first. Throws RunError RUN_LOCKED where a process works in it. */
export function disposablesOf(run: CleanableRun): Disposable[] {
  refuseLocked(join(run.path, 'run.lock'));
  const found: Omit<Disposable, 'bytes'>[] = [
    ...leftoversIn(run.path),
    ...checkpointsOf(run),
    ...('ranker' in run.recipe ? earlierModels({ ...run, recipe: run.recipe }) : []),
  ];
  return found
    .map((each) => ({ ...each, bytes: bytesIn(each.path) }))
    .sort((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1));
}

/** Deletes what `disposablesOf` found. Throws FileError for what cannot be deleted; what was deleted before stays so. */
export function deleteDisposables(run: Pick<CleanableRun, 'path'>, disposables: readonly Disposable[]): void {
  refuseLocked(join(run.path, 'run.lock'));
  for (const { path } of disposables) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch (error) {
      throw fileError(error, { action: 'delete', path });
    }
  }
}

/** Bytes of a file, or of all files in a folder; links are not followed. */
export function bytesIn(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return 0;
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesIn(join(path, name)), 0);
}

/** Names under which files and folders are written before they are renamed (files/atomic.ts, files/lock.ts). */
const LEFTOVER = /^\..+\.(tmp|previous)$|\.stale$/;

function leftoversIn(folder: string): Omit<Disposable, 'bytes'>[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (LEFTOVER.test(entry.name)) return [{ kind: 'leftover' as const, path }];
    return entry.isDirectory() && /^iteration-\d+$/.test(entry.name) ? leftoversIn(path) : [];
  });
}

/** Checkpoints beside a model that is there. */
function checkpointsOf({ path }: CleanableRun): Omit<Disposable, 'bytes'>[] {
  const folders = [path, ...iterationsIn(path).map((iteration) => join(path, `iteration-${iteration}`))];
  return folders
    .filter((folder) => existsSync(join(folder, 'checkpoints')) && existsSync(join(folder, 'model')))
    .map((folder) => ({ kind: 'checkpoint', path: join(folder, 'checkpoints') }));
}

/** Models that neither are the result, nor the best, nor what an iteration with work left starts from or is held to. */
function earlierModels({ path, recipe, ledger }: CleanableRun & { recipe: Recipe }): Omit<Disposable, 'bytes'>[] {
  const stages = ledger.stages.all();
  const there = iterationsIn(path).filter((iteration) => existsSync(join(path, `iteration-${iteration}`, 'model')));
  const hasWork = (iteration: number): boolean => {
    const own = stages.filter((each) => each.iteration === iteration);
    return own.length === 0 || own.some(({ status }) => status !== 'finished');
  };
  const last = there.at(-1);
  const first = there[0];
  const isOver = there.length > 0 && last === recipe.iterations && !hasWork(recipe.iterations);
  const best = join(path, 'best');
  const kept = lstatSync(best, { throwIfNoEntry: false })?.isSymbolicLink() ? resolve(path, readlinkSync(best)) : null;
  return there.flatMap((iteration) => {
    const model = join(path, `iteration-${iteration}`, 'model');
    const isReference = recipe.reference === 'initial' && iteration === first && !isOver;
    const isNeeded = iteration === last || hasWork(iteration + 1) || isReference || model === kept;
    return isNeeded ? [] : [{ kind: 'model' as const, path: model }];
  });
}

function iterationsIn(path: string): number[] {
  return readdirSync(path)
    .flatMap((name) => /^iteration-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}
