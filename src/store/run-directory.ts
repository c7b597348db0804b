/**
 * @file The run directory: `openRun(recipe, ...)` creates it, or goes on with the run that is there when that is the same
 * run. config.yaml says what the run is; run.db (ledger.ts) what it did; the lock keeps a second process out.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { RunError } from '../errors.ts';
import { errorCode, fileError, makeFolder } from '../files/fs.ts';
import { acquireLock, type Lock } from '../files/lock.ts';
import type { HubPin } from '../hub/fetch.ts';
import type { Recipe } from '../recipe/schema.ts';
import { changesBetween, progressOf, type RunChange, type RunContent } from './changes.ts';
import { type Difference, differences } from './differences.ts';
import type { Announce } from './events.ts';
import { type RankerSources, type RunEnvironment, type RunIdentity, runEnvironment, runIdentity } from './identity.ts';
import { type Ledger, openLedger } from './ledger.ts';
import { describeRedo, doesAgain, redoOf, takeBack } from './redo.ts';
import { type AnyRecipe, type Continuation, type RunConfig, readRunConfig, writeRunConfig } from './run-config.ts';
import { RUN_FORMAT_VERSION } from './run-config-versions.ts';

/** Options of `openRun`. */
export interface OpenRunOptions<R extends AnyRecipe = Recipe> {
  /** The recipe with paths in place of names on the Hub. @default the recipe itself */
  local?: R;
  /** The commits that those names stood for. @default [] */
  hub?: HubPin[];
  /** What the rankers of the recipe are made of. @default nothing, as a fine-tuning has none */
  rankers?: RankerSources;
  /** Version of the engine, as it reports it. */
  libtorchVersion: string;
  /**
   * Go on although settings or inputs changed with which something was made already: what is finished stays, the rest is
   * done again (docs/resuming.md). @default false
   */
  acceptChanges?: boolean;
  /** Milliseconds since 1970. @default Date.now */
  clock?: () => number;
}

/** An open run: its paths, its ledger, its lock. Close it, or let `using` do so. */
export class Run<R extends AnyRecipe = Recipe> {
  readonly path: string;
  readonly recipe: R;
  readonly config: RunConfig<R>;
  /** False when this call created it. */
  readonly resumed: boolean;
  /** What changed in the machine and the versions since the run was last open, to be shown. */
  readonly environmentChanges: readonly Difference[];
  /** What changed in its settings and inputs, to be shown. */
  readonly changes: readonly RunChange[];
  /** What is done again because of that, as a sentence; null when nothing is. */
  readonly doneAgain: string | null;
  /** The recipe with paths in place of names on the Hub. */
  readonly local: R;
  readonly ledger: Ledger;
  readonly #lock: Lock;

  /** Use `openRun`. */
  constructor(parts: {
    config: RunConfig<R>;
    local: R;
    resumed: boolean;
    environmentChanges: Difference[];
    changes: RunChange[];
    doneAgain: string | null;
    ledger: Ledger;
    lock: Lock;
  }) {
    this.config = parts.config;
    this.recipe = parts.config.recipe;
    this.local = parts.local;
    this.path = this.recipe.output;
    this.resumed = parts.resumed;
    this.environmentChanges = parts.environmentChanges;
    this.changes = parts.changes;
    this.doneAgain = parts.doneAgain;
    this.ledger = parts.ledger;
    this.#lock = parts.lock;
  }

  /** Folder of an iteration; a warm start is iteration 0. */
  iterationPath(iteration: number): string {
    return join(this.path, `iteration-${iteration}`);
  }

  /** Where the model of an iteration lies when it is finished, in Hugging Face layout. */
  modelPath(iteration: number): string {
    return join(this.iterationPath(iteration), 'model');
  }

  /** Where the reward model of an iteration lies, where the recipe learns one. */
  rewardModelPath(iteration: number): string {
    return join(this.iterationPath(iteration), 'reward-model');
  }

  /** Folder of the training checkpoints of an iteration. */
  checkpointsPath(iteration: number): string {
    return join(this.iterationPath(iteration), 'checkpoints');
  }

  get reportPath(): string {
    return join(this.path, 'report.html');
  }

  /** Closes the ledger and gives the lock back; a second call does nothing. */
  close(): void {
    this.ledger.close();
    this.#lock.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Creates the run directory of a recipe, or goes on with the run that is there. Where its settings or inputs changed, what
 * that comes to is in changes.ts; a change that the run cannot go on with, or that the user has not accepted, is refused
 * and leaves the run untouched. Throws RunError (RUN_DIFFERS, RUN_LOCKED, RUN_FOREIGN, FORMAT_NEWER ...) or FileError.
 */
export function openRun<R extends AnyRecipe>(
  recipe: R,
  {
    libtorchVersion,
    local = recipe,
    hub = [],
    rankers = NO_RANKERS,
    acceptChanges = false,
    clock = Date.now,
  }: OpenRunOptions<R>,
): Run<R> {
  const path = recipe.output;
  const identity = runIdentity(local, rankers);
  const environment = runEnvironment(libtorchVersion);
  const asked = { recipe, local, identity };
  // Judged before anything is written, and again under the lock: another process may create the run in between.
  changesOf(readRunConfig<R>(path), asked, { acceptChanges });
  refuseForeign(path);
  makeFolder(path, { action: 'create run directory' });
  const lock = acquireLock(join(path, 'run.lock'));
  let ledger: Ledger | null = null;
  try {
    const existing = readRunConfig<R>(path);
    const changes = changesOf(existing, asked, { acceptChanges });
    ledger = openLedger(join(path, 'run.db'), { clock });
    const redo = redoOf(changes, recipe, ledger);
    const doneAgain = doesAgain(redo) || changes.some(needsConsent) ? describeRedo(redo, recipe) : null;
    takeBack(ledger, redo);
    const at = new Date(clock()).toISOString();
    const before: RunConfig<R> = existing ?? newConfig(asked, { at, environment, hub });
    const environmentChanges = differences(before.continuedIn.at(-1)?.environment ?? before.environment, environment);
    const continuation = continuationOf({ at, environment, changes, doneAgain });
    const isContinued = environmentChanges.length + changes.length > 0;
    const continuedIn = isContinued ? [...before.continuedIn, continuation] : before.continuedIn;
    // A name that came with a change, such as a benchmark's, is bound to its commit from now on.
    const pins = hub.length === 0 ? {} : { hub };
    const config: RunConfig<R> = { ...before, recipe, identity, continuedIn, ...pins };
    // Last, so that a directory with a config always has its ledger.
    if (JSON.stringify(existing) !== JSON.stringify(config)) writeRunConfig(path, config);
    const resumed = existing !== null;
    return new Run({ config, local, resumed, environmentChanges, changes, doneAgain, ledger, lock });
  } catch (error) {
    ledger?.close();
    lock.release();
    throw error;
  }
}

function newConfig<R extends AnyRecipe>(
  { recipe, identity }: { recipe: R; identity: RunIdentity },
  { at, environment, hub }: { at: string; environment: RunEnvironment; hub: HubPin[] },
): RunConfig<R> {
  const pins = hub.length === 0 ? {} : { hub };
  const about = { formatVersion: RUN_FORMAT_VERSION, createdAt: at } as const;
  return { ...about, recipe, identity, ...pins, environment, continuedIn: [] };
}

function continuationOf({
  changes,
  doneAgain,
  ...where
}: Pick<Continuation, 'at' | 'environment'> & {
  changes: readonly RunChange[];
  doneAgain: string | null;
}): Continuation {
  const settings = changes.map(({ effect: _, ...difference }) => difference);
  return { ...where, ...(settings.length > 0 ? { settings } : {}), ...(doneAgain === null ? {} : { doneAgain }) };
}

const NO_RANKERS: RankerSources = { ranker: [], secondRanker: [] };

/** Says that a run goes on, what changed, and what is done again. */
export function tellResumed(
  { resumed, path, environmentChanges, changes, doneAgain }: Run<AnyRecipe>,
  announce: Announce,
): void {
  if (resumed) announce({ kind: 'note', text: `Going on with the run in ${path}` });
  for (const { field, old, new: now } of environmentChanges) {
    const [before, after] = [JSON.stringify(old), JSON.stringify(now)];
    announce({ kind: 'warning', text: `${field} was ${before} when this run was last open, now it is ${after}` });
  }
  for (const change of changes) {
    const kind = change.effect.kind === 'none' || change.effect.kind === 'unused' ? 'note' : 'warning';
    announce({ kind, text: `${describeChange(change)}${CONSEQUENCE[change.effect.kind]}` });
  }
  if (doneAgain !== null) announce({ kind: 'warning', text: `Because of what changed: ${doneAgain}` });
}

const CONSEQUENCE: Readonly<Record<RunChange['effect']['kind'], string>> = {
  none: '',
  later: ': what was made before may differ from what comes now',
  unused: ': nothing was made with what was there before',
  'measured-again': ': every model is measured again, so that all are measured alike',
  'done-again': '',
  refused: '',
};

function describeChange({ field, old, new: value, content }: RunChange): string {
  return content === undefined
    ? `${field}: ${show(old)} -> ${show(value)}`
    : `${field}: the content of ${content} changed`;
}

function needsConsent({ effect }: RunChange): boolean {
  return effect.kind === 'done-again';
}

/** What differs between the run that is there and the one that is asked for. Throws RunError RUN_DIFFERS. */
function changesOf(
  existing: RunConfig<AnyRecipe> | null,
  asked: RunContent,
  { acceptChanges }: { acceptChanges: boolean },
): RunChange[] {
  if (existing === null) return [];
  const path = asked.recipe.output;
  let ledger: Ledger | null = null;
  const opened = (): Ledger => {
    ledger ??= openLedger(join(path, 'run.db'), { access: 'read' });
    return ledger;
  };
  try {
    const changes = changesBetween(existing, asked, () => progressOf(opened()));
    const refused = changes.filter(({ effect }) => effect.kind === 'refused');
    if (refused.length === 0 && (acceptChanges || !changes.some(needsConsent))) return changes;
    throw differs(changes, asked, {
      consent: refused.length === 0 ? describeRedo(redoOf(changes, asked.recipe, opened()), asked.recipe) : null,
    });
  } finally {
    (ledger as Ledger | null)?.close();
  }
}

/** The refusal of changes; `consent` says what would be done again if the user accepted them. */
function differs(
  changes: readonly RunChange[],
  { recipe }: RunContent,
  { consent }: { consent: string | null },
): RunError {
  const stopping = changes.filter((change) => change.effect.kind === 'refused' || needsConsent(change));
  const lines = stopping.map((change) => {
    const { effect } = change;
    const reason = 'reason' in effect && effect.reason !== undefined ? ` (${effect.reason})` : '';
    return `  ${describeChange(change)}${reason}`;
  });
  const fix =
    consent === null
      ? 'Use another name or output for a new run, set the old values back, or delete the directory'
      : `Go on all the same with --accept-changes: ${consent}. Or set the old values back, or use another name or output for a new run`;
  return new RunError(
    'RUN_DIFFERS',
    `Cannot go on with run "${recipe.output}": it was started with other settings:\n${lines.join('\n')}\n${fix}`,
    { details: { path: recipe.output, differences: stopping.map(({ effect: _, ...difference }) => difference) } },
  );
}

/**
 * A folder with something in it and no config is not ours; what a stopped creation leaves (lock, ledger) and a
 * fine-tuning before it is.
 */
function refuseForeign(path: string): void {
  if (existsSync(join(path, 'config.yaml'))) return;
  let names: string[];
  try {
    names = readdirSync(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw fileError(error, { action: 'open run directory', path });
  }
  const foreign = names.find((name) => !/^(run\.(lock|db)|\.config\.yaml\.tmp|sft$|twin$)/.test(name));
  if (foreign === undefined) return;
  throw new RunError(
    'RUN_FOREIGN',
    `Cannot create run "${path}": the folder has "${foreign}" and no config.yaml, so it is not a run: choose another name or output`,
    { details: { path, found: foreign } },
  );
}

function show(value: unknown): string {
  return value === undefined ? '(none)' : JSON.stringify(value);
}
