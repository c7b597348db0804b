/** @file Collects a comparison from the ledgers of runs: what each measured, on prompts that all of them have. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { RunError } from '../../errors.ts';
import { describeRanker } from '../../rank/open.ts';
import type { Recipe } from '../../recipe/schema.ts';
import { type Evaluation, onCommonPrompts } from '../../store/evaluations.ts';
import { openLedger } from '../../store/ledger.ts';
import { evaluationsOf, fitsOf, measuredScores } from '../../store/measured.ts';
import { readRunConfig } from '../../store/run-config.ts';
import { describeState, runState } from '../../store/run-state.ts';
import type { ArmPoint, ComparedArm, ComparedRun, ComparisonData } from './comparison-data.ts';

/** An arm to compare: what it is called, and its runs. */
export interface ArmSource extends ArmPoint {
  name: string;
  runs: { seed: number; path: string }[];
}

export interface ComparisonSource {
  title: string;
  /** Null for the first arm. */
  baseline: string | null;
  arms: ArmSource[];
}

/** A run as it was read, before prompts are matched. */
interface ReadRun extends ComparedRun {
  recipe: Recipe;
  /** What the rewards rest on: the ranker and what it is made of, the held-out prompts, and how they are answered. */
  measuredBy: { ranker: string; prompts: string; answers: string };
}

/** Reads all runs. Throws RunError COMPARISON_EMPTY where none was measured. */
export function collectComparison({ title, baseline, arms }: ComparisonSource): ComparisonData {
  const read = new Map<string, ReadRun | null>();
  for (const { runs } of arms) {
    for (const { seed, path } of runs) if (!read.has(path)) read.set(path, readRun(seed, path));
  }
  const known = [...read.values()].flatMap((run) => (run === null || run.evaluations.size === 0 ? [] : [run]));
  if (known.length === 0) {
    throw new RunError(
      'COMPARISON_EMPTY',
      `Cannot compare ${read.size === 1 ? 'the run' : `${read.size} runs`}: none of them has measured anything yet: set evaluate.prompts or evaluate.holdOut in their recipe, and run them`,
      { details: { runs: [...read.keys()] } },
    );
  }
  const { common, leftOut } = commonPrompts(known);
  const merged = mergeArms(arms).flatMap((arm): ComparedArm[] => {
    const runs = arm.runs.flatMap(({ path }) => common.get(path) ?? []);
    return runs.length === 0 ? [] : [{ name: arm.name, label: arm.label, points: arm.points, runs }];
  });
  const wanted = baseline ?? arms[0]?.name ?? '';
  const found = merged.find(
    (arm) => arm.name === wanted || arm.points.some((point) => pointName(arms, point) === wanted),
  );
  const [first] = known;
  return {
    title,
    createdAt: new Date().toISOString(),
    rewardName: rewardNameOf(first),
    baseline: (found ?? merged[0])?.name ?? '',
    arms: merged,
    implicitRewards: [],
    results: [],
    notes: [...notesOf(read, known, leftOut), ...missingBaseline(wanted, found)],
    statisticsSeed: 1,
  };
}

function pointName(arms: readonly ArmSource[], point: ArmPoint): string | undefined {
  return arms.find(({ label, settings }) => label === point.label && settings === point.settings)?.name;
}

function missingBaseline(wanted: string, found: ComparedArm | undefined): string[] {
  return found === undefined
    ? [`The baseline "${wanted}" has measured nothing yet; the first arm that has stands in for it.`]
    : [];
}

function rewardNameOf(run: ReadRun | undefined): string {
  const [evaluation] = run?.evaluations.values() ?? [];
  return evaluation?.rewardName ?? '';
}

/** Null where the run was not begun. */
function readRun(seed: number, path: string): ReadRun | null {
  const config = existsSync(join(path, 'run.db')) ? readRunConfig(path) : null;
  if (config === null) return null;
  const { recipe, identity } = config;
  using ledger = openLedger(join(path, 'run.db'), { access: 'read' });
  const { samples, temperature, maxNewTokens } = recipe.evaluate;
  return {
    seed,
    path,
    recipe,
    baseModel: identity.model,
    temperature,
    evaluations: evaluationsOf(ledger),
    benchmarks: [...measuredScores(ledger)].map(([iteration, scores]) => ({ iteration, scores })),
    fits: fitsOf(ledger),
    seconds: ledger.stages.all().reduce((sum, stage) => sum + (stage.seconds ?? 0), 0),
    state: describeState(runState(path, recipe, ledger), recipe),
    measuredBy: {
      ranker: `${describeRanker(recipe.ranker)} ${JSON.stringify(identity.ranker.map(({ sha256 }) => sha256))}`,
      prompts: JSON.stringify([identity.evaluate?.sha256 ?? null, recipe.evaluate.limit, recipe.evaluate.holdOut]),
      answers: JSON.stringify([samples, temperature, maxNewTokens]),
    },
  };
}

/** Benchmarks on which not all runs can be compared item by item. */
function basisNotes(runs: readonly ReadRun[]): string[] {
  const bases = new Map<string, Set<string | null>>();
  for (const { title, basis } of runs.flatMap(({ benchmarks }) => benchmarks.flatMap(({ scores }) => scores)))
    bases.set(title, (bases.get(title) ?? new Set()).add(basis));
  return [...bases]
    .filter(([, different]) => different.size > 1)
    .map(
      ([title]) =>
        `Not all runs were measured on ${title} with the same rows, examples or judge; those that differ are not compared on it.`,
    );
}

/** The same prompts for every run; where they are drawn by the seed (holdOut), for every run of a seed. */
function commonPrompts(runs: readonly ReadRun[]): { common: Map<string, ComparedRun>; leftOut: number } {
  const bySeed = runs.some(({ recipe }) => recipe.evaluate.holdOut > 0 && recipe.evaluate.prompts === null);
  const groups = new Map<number, ReadRun[]>();
  for (const run of runs) {
    const key = bySeed ? run.seed : 0;
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  const common = new Map<string, ComparedRun>();
  let leftOut = 0;
  for (const group of groups.values()) {
    const matched = onCommonPrompts(group.map(({ evaluations }) => evaluations));
    leftOut += matched.leftOut;
    group.forEach(({ recipe: _, measuredBy: __, ...run }, index) => {
      const evaluations: Map<number, Evaluation> = matched.runs[index] ?? new Map();
      common.set(run.path, { ...run, evaluations });
    });
  }
  const [first] = common.values();
  const [evaluation] = first?.evaluations.values() ?? [];
  if ((evaluation?.data.promptIds.length ?? 0) > 0) return { common, leftOut };
  throw new RunError(
    'COMPARISON_PROMPTS',
    `Cannot compare the runs: no held-out prompt is in all of them: measure them on the same prompts (evaluate.prompts), and run them again`,
    { details: { runs: runs.map(({ path }) => path) } },
  );
}

/** Arms of the same runs as one, which stands at the points of all. */
function mergeArms(arms: readonly ArmSource[]): (Omit<ComparedArm, 'runs'> & Pick<ArmSource, 'runs'>)[] {
  const merged = new Map<string, Omit<ComparedArm, 'runs'> & Pick<ArmSource, 'runs'>>();
  for (const { name, runs, ...point } of arms) {
    const key = runs.map(({ path }) => path).join('\n');
    const same = merged.get(key);
    if (same === undefined) merged.set(key, { name, label: point.label, points: [point], runs });
    else same.points.push(point);
  }
  return [...merged.values()];
}

function notesOf(read: ReadonlyMap<string, ReadRun | null>, known: readonly ReadRun[], leftOut: number): string[] {
  const notes: string[] = [];
  const missing = [...read.values()].filter((run) => run === null).length;
  if (missing > 0) notes.push(`${missing} of ${read.size} runs were not begun and are left out.`);
  const unmeasured = read.size - missing - known.length;
  if (unmeasured > 0) notes.push(`${unmeasured} of ${read.size} runs have measured nothing yet and are left out.`);
  for (const { path, state } of known) if (state !== null) notes.push(`${path}: ${state}`);
  if (leftOut > 0) notes.push(`${leftOut} held-out prompts are left out: not every run has a verdict on them.`);
  const differ = (name: keyof ReadRun['measuredBy']): boolean =>
    new Set(known.map(({ measuredBy }) => measuredBy[name])).size > 1;
  if (differ('ranker'))
    notes.push('The runs were measured by different rankers, so that their rewards are not on one scale.');
  if (differ('prompts'))
    notes.push('The runs were measured on different held-out files; only prompts that all have count.');
  notes.push(...basisNotes(known));
  if (differ('answers')) {
    notes.push(
      'The runs answered the held-out prompts in different ways (evaluate.samples, temperature or maxNewTokens).',
    );
  }
  if (new Set(known.map(({ baseModel }) => baseModel)).size > 1) notes.push('The runs started from different models.');
  return notes;
}
