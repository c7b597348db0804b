/** @file `selm compare --pairs FILE`: implicit rewards of the last models on pairs, each arm beside the baseline (Figure 4). */
import type { ComparedRun, ComparisonData, ImplicitRewards } from '../report/comparison/comparison-data.ts';
import { readRunConfig } from '../store/run-config.ts';

/** Scores the pairs for the first seed that an arm shares with the baseline; an arm without one is left out. */
export async function implicitRewardsOf(
  { arms, baseline: name }: ComparisonData,
  { file, limit }: { file: string; limit: number },
): Promise<ImplicitRewards[]> {
  const { implicitRewards } = await import('../loop/evaluation/implicit-rewards.ts');
  const known = new Map<string, { chosen: number[]; rejected: number[] }>();
  const scored = new Map<string, ReturnType<typeof implicitRewards>>();
  const rewardsOf = (run: ComparedRun): ReturnType<typeof implicitRewards> => {
    const config = readRunConfig(run.path);
    if (config === null) throw new Error('A run that was read has its configuration');
    const iteration = Math.max(0, ...run.evaluations.keys());
    const recipe = { ...config.recipe, output: run.path };
    const found = scored.get(run.path) ?? implicitRewards(recipe, { file, limit, iteration, known });
    scored.set(run.path, found);
    return found;
  };
  const baseline = arms.find((arm) => arm.name === name);
  const differences: ImplicitRewards[] = [];
  for (const arm of arms) {
    const pair = arm === baseline ? undefined : runsOfOneSeed(arm.runs, baseline?.runs ?? []);
    if (pair === undefined) continue;
    const [ours, theirs] = [await rewardsOf(pair.ours), await rewardsOf(pair.theirs)];
    const minus = (which: 'chosen' | 'rejected'): number[] =>
      ours[which].map((reward, index) => reward - (theirs[which][index] ?? Number.NaN));
    differences.push({
      arm: arm.name,
      baseline: name,
      seed: pair.ours.seed,
      beta: ours.beta,
      chosen: minus('chosen'),
      rejected: minus('rejected'),
    });
  }
  return differences;
}

function runsOfOneSeed(
  runs: readonly ComparedRun[],
  others: readonly ComparedRun[],
): { ours: ComparedRun; theirs: ComparedRun } | undefined {
  const ours = runs.find(({ seed }) => others.some((other) => other.seed === seed)) ?? runs[0];
  const theirs = others.find(({ seed }) => seed === ours?.seed) ?? others[0];
  return ours === undefined || theirs === undefined ? undefined : { ours, theirs };
}
