/**
 * @file The quickstart over several seeds: runs recipes/quickstart.yaml (SELM and its twin) once a seed and writes
 * docs/experiments/quickstart.md and its figure. Run: `npx tsx scripts/study-quickstart.ts FOLDER [seed ...]` (1 min a seed).
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { bootstrapMean, type Interval, mean } from '../src/evaluate/statistics.ts';
import { collectReport } from '../src/loop/report-data.ts';
import { runRecipe, twinOf } from '../src/loop/run.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { engineVersion, packageRoot } from '../src/torch/native.ts';

const [folder = 'runs/study', ...given] = process.argv.slice(2);
const seeds = given.length > 0 ? given.map(Number) : [1, 2, 3, 4, 5];

interface Outcome {
  seed: number;
  base: number;
  /** Mean held-out reward of iterations 1..T, and KL to the base of the last. */
  selm: number[];
  twin: number[];
  selmKl: number;
  twinKl: number;
  selmHealth: number;
  twinHealth: number;
}

async function runSeed(seed: number): Promise<Outcome> {
  const overrides = [`seed=${seed}`, `output=${join(folder, `seed-${seed}`)}`];
  const recipe = loadRecipe(join(packageRoot, 'recipes', 'quickstart.yaml'), { overrides });
  await runRecipe(recipe);
  const report = collectReport(recipe, twinOf(recipe));
  const [selm, twin] = report?.methods ?? [];
  if (report === null || selm === undefined || twin === undefined) throw new Error(`Seed ${seed} measured nothing`);
  const last = (method: typeof selm) => method.iterations.at(-1)?.evaluation;
  return {
    seed,
    base: mean(report.base.rewards),
    selm: selm.iterations.map(({ evaluation }) => mean(evaluation.rewards)),
    twin: twin.iterations.map(({ evaluation }) => mean(evaluation.rewards)),
    selmKl: last(selm)?.klToBase?.value ?? Number.NaN,
    twinKl: last(twin)?.klToBase?.value ?? Number.NaN,
    selmHealth: mean(last(selm)?.textHealth ?? []),
    twinHealth: mean(last(twin)?.textHealth ?? []),
  };
}

function shown({ value, low, high }: Interval): string {
  return `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
}

/** Means over seeds with the range of all seeds, by iteration. */
function figure(outcomes: Outcome[]): string {
  const x = (iteration: number, shift: number): number => 70 + iteration * 130 + shift;
  const y = (reward: number): number => 250 - (reward - 0.2) * 700;
  const line = (values: number[][], color: string, shift: number): string => {
    const means = values.map(mean);
    const points = means.map((value, i) => `${x(i, shift)},${y(value)}`).join(' ');
    const bars = values.map(
      (own, i) =>
        `<line x1="${x(i, shift)}" x2="${x(i, shift)}" y1="${y(Math.min(...own))}" y2="${y(Math.max(...own))}"/>`,
    );
    const dots = means.map((value, i) => `<circle cx="${x(i, shift)}" cy="${y(value)}" r="4" fill="${color}"/>`);
    return `<g stroke="${color}" stroke-width="2" fill="none"><polyline points="${points}"/>${bars.join('')}${dots.join('')}</g>`;
  };
  const series = (pick: (outcome: Outcome) => number[]): number[][] =>
    [0, 1, 2, 3].map((t) => outcomes.map((outcome) => (t === 0 ? outcome.base : (pick(outcome)[t - 1] ?? Number.NaN))));
  const ticks = [0.2, 0.3, 0.4, 0.5].map(
    (value) =>
      `<text x="60" y="${y(value) + 4}" text-anchor="end">${value}</text><line x1="65" x2="480" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>`,
  );
  const labels = ['base', '1', '2', '3'].map(
    (text, i) => `<text x="${x(i, 0)}" y="275" text-anchor="middle">${text}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 320" font-family="sans-serif" font-size="13"><title>Mean held-out reward by iteration, SELM and its twin</title><rect width="520" height="320" fill="white"/>${ticks.join('')}${labels.join('')}<text x="265" y="298" text-anchor="middle">iteration</text><text x="70" y="18">mean held-out reward over ${outcomes.length} seeds; bars: lowest and highest seed</text>${line(
    series((o) => o.selm),
    '#0b63a5',
    -4,
  )}${line(
    series((o) => o.twin),
    '#c2560c',
    4,
  )}<text x="90" y="40" fill="#0b63a5">SELM</text><text x="140" y="40" fill="#c2560c">alpha = 0 twin</text></svg>\n`;
}

const outcomes: Outcome[] = [];
for (const seed of seeds) {
  outcomes.push(await runSeed(seed));
  process.stderr.write(`seed ${seed} done\n`);
}
const differences = outcomes.map((outcome) => (outcome.selm.at(-1) ?? 0) - (outcome.twin.at(-1) ?? 0));
const difference = bootstrapMean(differences, 1);
const verdict =
  difference.low > 0
    ? 'SELM is ahead of its twin.'
    : difference.high < 0
      ? 'SELM is behind its twin.'
      : 'No difference between SELM and its twin can be told from these seeds.';
const rows = outcomes.map(
  (o) =>
    `| ${o.seed} | ${o.base.toFixed(3)} | ${o.selm.map((value) => value.toFixed(3)).join(', ')} | ${o.twin.map((value) => value.toFixed(3)).join(', ')} | ${o.selmKl.toFixed(1)} / ${o.twinKl.toFixed(1)} | ${o.selmHealth.toFixed(2)} / ${o.twinHealth.toFixed(2)} |`,
);
writeFileSync(join(packageRoot, 'docs', 'images', 'quickstart-seeds.svg'), figure(outcomes));
writeFileSync(
  join(packageRoot, 'docs', 'experiments', 'quickstart.md'),
  `# The quickstart over ${outcomes.length} seeds

\`npx tsx scripts/study-quickstart.ts FOLDER ${seeds.join(' ')}\` on ${cpus().length} cores of ${cpus()[0]?.model}, LibTorch ${engineVersion()}. Settings: recipes/quickstart.yaml.

| seed | base | SELM, iterations 1 to 3 | alpha = 0 twin, 1 to 3 | KL to base, nats (SELM / twin) | soundness (SELM / twin) |
| --- | --- | --- | --- | --- | --- |
${rows.join('\n')}

![Mean held-out reward by iteration](../images/quickstart-seeds.svg)

After the last iteration SELM minus twin, paired by seed: **${shown(difference)}** (mean and 95 % bootstrap interval over
seeds). ${verdict}

What a reader should take from it is written below by hand, after looking.
`,
);
