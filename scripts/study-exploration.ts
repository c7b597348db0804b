/**
 * @file What does the optimism term find? The quickstart's world over several seeds and several alpha (0 is iterative DPO):
 * reward against the number of ranked responses, and what exploration did. Runs one method a time on one thread (about a
 * minute each on a quiet core), goes on where it stopped, and writes docs/experiments/exploration.json and its figure.
 *
 *     npx tsx scripts/study-exploration.ts FOLDER          runs what is missing, then writes
 *     npx tsx scripts/study-exploration.ts FOLDER --write  writes from the runs that are there
 */
import { existsSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { bootstrapMean, type Interval, mean } from '../src/evaluate/statistics.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { runRecipe } from '../src/loop/run.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { Recipe } from '../src/recipe/schema.ts';
import { collectReport } from '../src/report/collect.ts';
import { openLedger } from '../src/store/ledger.ts';
import { engineVersion } from '../src/torch/native.ts';

const SEEDS = [1, 2, 3, 4, 5];
const ALPHAS = [0, 0.001, 0.005, 0.02, 0.05, 0.1];
const [folder = 'runs/study-exploration', mode] = process.argv.slice(2);

/** One iteration of one run in numbers. */
interface Point {
  /** Responses that the ranker has judged so far. */
  ranked: number;
  /** Of the policy after the iteration, on held-out prompts. */
  reward: number;
  klToBase: number;
  distinct2: number;
  selfBleu: number;
  length: number;
  /** Of the responses that the iteration sampled and ranked: mean, share of 0.7 or more (a kind ending), best of a prompt. */
  sampledReward: number;
  sampledKind: number;
  sampledBest: number;
  /** Shares of the prompts by what became of y. */
  yChosen: number;
  yRejected: number;
  yBetween: number;
  /** Mean slopes of the loss by a log-probability over the iteration's steps: the optimism's over the preference's. */
  slopeRatio: number | null;
}

interface Outcome {
  seed: number;
  alpha: number;
  base: number;
  points: Point[];
}

function recipeOf(seed: number, alpha: number): Recipe {
  const overrides = [
    `output=${join(folder, `seed-${seed}`, `alpha-${alpha}`)}`,
    `seed=${seed}`,
    `objective.exploration.alpha=${alpha}`,
    'threads=1',
    'evaluate.twin=false',
    'training.epochs=1', // as when it was run
  ];
  return loadRecipe(join(packageRoot, 'recipes', 'quickstart.yaml'), { overrides });
}

function outcomeOf(seed: number, alpha: number): Outcome | null {
  const recipe = recipeOf(seed, alpha);
  if (!existsSync(join(recipe.output, `iteration-${recipe.iterations}`, 'model'))) return null;
  const report = collectReport(recipe, null);
  const method = report.methods[0];
  if (report.base === null || method === undefined) return null;
  using ledger = openLedger(join(recipe.output, 'run.db'), { access: 'read' });
  let ranked = 0;
  const points = method.iterations.map(({ iteration, evaluation }): Point => {
    const scores = ledger.rankings(iteration).map((ranking) => [...(ranking.scores ?? [])]);
    const all = scores.flat();
    ranked += all.length;
    const fate = method.exploration.find((each) => each.iteration === iteration)?.fate;
    const prompts = Object.values(fate ?? {}).reduce((sum, count) => sum + count, 0);
    const share = (count: number | undefined): number => (count ?? Number.NaN) / prompts;
    return {
      ranked,
      reward: mean(evaluation.rewards),
      klToBase: evaluation.klToBase?.value ?? Number.NaN,
      distinct2: evaluation.diversity?.distinct[1] ?? Number.NaN,
      selfBleu: evaluation.diversity?.selfBleu ?? Number.NaN,
      length: mean(evaluation.lengths),
      sampledReward: mean(all),
      sampledKind: all.filter((score) => score >= 0.7).length / all.length,
      sampledBest: mean(scores.map((own) => Math.max(...own))),
      yChosen: share(fate?.chosen),
      yRejected: share(fate?.rejected),
      yBetween: share(fate?.between),
      slopeRatio: slopeRatio(recipe, ledger.metrics(), iteration),
    };
  });
  return { seed, alpha, base: mean(report.base.rewards), points };
}

/**
 * Mean |d loss / d log pi(y)| of the optimism (alpha beta) over that of the preference. The latter is beta sigma(-margin),
 * which the step's mean reward margin gives to first order.
 */
function slopeRatio(
  { objective: { exploration } }: Recipe,
  metrics: ReturnType<ReturnType<typeof openLedger>['metrics']>,
  iteration: number,
): number | null {
  if (exploration.kind === 'none' || typeof exploration.alpha !== 'number') return null;
  const margins = metrics.filter((each) => each.stage === 'train' && each.iteration === iteration);
  const sigmas = margins.map(({ values }) => 1 / (1 + Math.exp(values['rewards/margins'] ?? Number.NaN)));
  return exploration.alpha / mean(sigmas);
}

/** Of a number at the last iteration, over seeds. */
function over(outcomes: readonly Outcome[], read: (outcome: Outcome) => number): Interval {
  return bootstrapMean(outcomes.map(read), 1);
}

function figure(outcomes: readonly Outcome[]): string {
  const colors = ['#444', '#5aa9e6', '#0b63a5', '#2c8c3c', '#c2560c', '#a01a58'];
  const x = (ranked: number): number => 60 + (ranked / 3200) * 420;
  const y = (reward: number): number => 280 - (reward - 0.2) * 800;
  const ticks = [0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5].map(
    (value) =>
      `<text x="52" y="${y(value) + 4}" text-anchor="end">${value}</text><line x1="58" x2="490" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>`,
  );
  const lines = ALPHAS.map((alpha, index) => {
    const own = outcomes.filter((each) => each.alpha === alpha);
    const color = colors[index];
    const means = [0, 1, 2, 3].map((t) => {
      const values = own.map(({ base, points }) => (t === 0 ? base : (points[t - 1]?.reward ?? Number.NaN)));
      const ranked = t === 0 ? 0 : mean(own.map(({ points }) => points[t - 1]?.ranked ?? Number.NaN));
      return { at: x(ranked) + (index - 2.5) * 4, ...bootstrapMean(values, 1) };
    });
    const path = means.map(({ at, value }) => `${at.toFixed(1)},${y(value).toFixed(1)}`).join(' ');
    const bars = means.map(
      ({ at, low, high }) => `<line x1="${at}" x2="${at}" y1="${y(low).toFixed(1)}" y2="${y(high).toFixed(1)}"/>`,
    );
    const dots = means.map(({ at, value }) => `<circle cx="${at}" cy="${y(value).toFixed(1)}" r="3" fill="${color}"/>`);
    return `<g stroke="${color}" stroke-width="1.5" fill="none"><polyline points="${path}"/>${bars.join('')}${dots.join('')}</g><text x="505" y="${80 + 20 * index}" fill="${color}">alpha ${alpha}</text>`;
  });
  const counts = [0, 1024, 2048, 3072].map(
    (ranked) => `<text x="${x(ranked)}" y="300" text-anchor="middle">${ranked}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 340" font-family="sans-serif" font-size="13"><title>Held-out reward against ranked responses, by alpha</title><rect width="600" height="340" fill="white"/>${ticks.join('')}${counts.join('')}<text x="270" y="322" text-anchor="middle">ranked responses</text><text x="60" y="20">mean held-out reward; bars: 95 % bootstrap intervals over seeds</text>${lines.join('')}</svg>\n`;
}

function tables(outcomes: readonly Outcome[]): string {
  const shown = ({ value, low, high }: Interval, digits = 3): string =>
    `${value.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
  const last = ({ points }: Outcome): Point => points.at(-1) as Point; // every outcome has its iterations
  const rows = ALPHAS.map((alpha) => {
    const own = outcomes.filter((each) => each.alpha === alpha);
    const zero = outcomes.filter((each) => each.alpha === 0 && own.some(({ seed }) => seed === each.seed));
    const minusZero = (t: number): string => {
      const differences = own.flatMap((each) => {
        const twin = zero.find(({ seed }) => seed === each.seed);
        const [ours, theirs] = [each.points[t]?.reward, twin?.points[t]?.reward];
        return ours === undefined || theirs === undefined ? [] : [ours - theirs];
      });
      return alpha === 0 || differences.length === 0 ? '' : shown(bootstrapMean(differences, 1));
    };
    const at = (t: number): string => shown(over(own, ({ points }) => points[t]?.reward ?? Number.NaN));
    return `| ${alpha} | ${own.length} | ${at(0)} | ${at(1)} | ${at(2)} | ${minusZero(0)} | ${minusZero(1)} | ${minusZero(2)} |`;
  });
  const details = ALPHAS.map((alpha) => {
    const own = outcomes.filter((each) => each.alpha === alpha);
    const of = (read: (point: Point) => number, digits = 3): string =>
      over(own, (each) => read(last(each))).value.toFixed(digits);
    const ratio = alpha === 0 ? '0' : of((point) => point.slopeRatio ?? Number.NaN, 4);
    return `| ${alpha} | ${of((p) => p.sampledReward)} | ${of((p) => p.sampledBest)} | ${of((p) => 100 * p.sampledKind, 1)} | ${of((p) => p.klToBase, 1)} | ${of((p) => p.distinct2)} | ${of((p) => p.selfBleu)} | ${of((p) => p.length, 1)} | ${of((p) => 100 * p.yChosen, 0)} / ${of((p) => 100 * p.yRejected, 0)} / ${of((p) => 100 * p.yBetween, 0)} | ${ratio} |`;
  });
  return `| alpha | seeds | after 1,024 ranked responses | after 2,048 | after 3,072 | minus alpha = 0 at 1,024 | at 2,048 | at 3,072 |
| --- | --- | --- | --- | --- | --- | --- | --- |
${rows.join('\n')}

| alpha | reward of the responses sampled in iteration 3 | best of a prompt's four | with a kind ending, % | KL to base, nats | distinct-2 | Self-BLEU | tokens | y chosen / rejected / between, % | optimism / preference slope |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
${details.join('\n')}
`;
}

if (mode !== '--write') {
  for (const seed of SEEDS) {
    for (const alpha of ALPHAS) {
      await runRecipe(recipeOf(seed, alpha));
      process.stderr.write(`seed ${seed}, alpha ${alpha} done\n`);
    }
  }
}
const outcomes = SEEDS.flatMap((seed) => ALPHAS.flatMap((alpha) => outcomeOf(seed, alpha) ?? []));
const round = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
const made = { formatVersion: 1, recipe: 'recipes/quickstart.yaml', cpu: cpus()[0]?.model, libtorch: engineVersion() };
const lines = outcomes.map((outcome) => JSON.stringify(outcome, round));
writeFileSync(
  join(packageRoot, 'docs', 'experiments', 'exploration.json'),
  `${JSON.stringify(made).slice(0, -1)}, "outcomes": [\n${lines.join(',\n')}\n]}\n`,
);
writeFileSync(join(packageRoot, 'docs', 'images', 'exploration.svg'), figure(outcomes));
process.stdout.write(tables(outcomes));
