/**
 * @file Is it worth choosing what people are asked about? A simulated annotator (simulated-annotator.ts) answers the runs of
 * recipes/people.yaml through the studio's interface; every arm chooses its questions in another way. Writes a file a run, and
 * from all of them the tables of docs/experiments/people.md. What is there is not run again.
 *
 *     npx tsx scripts/study-people.ts run FOLDER [seed ...]       # seeds 1 to 10
 *     npx tsx scripts/study-people.ts tables FOLDER
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { reward } from '../recipes/quickstart/reward.ts';
import { generate } from '../src/api/model.ts';
import { collectRows, readRows } from '../src/data/read.ts';
import { holm, signFlipTest, studentTest } from '../src/evaluate/paired-tests.ts';
import { mean } from '../src/evaluate/statistics.ts';
import { writeFileAtomic } from '../src/files/atomic.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { runRecipe } from '../src/loop/run.ts';
import { peopleFolder, readQuestions } from '../src/rank/people/questions.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { serveStudio } from '../src/server/listen.ts';
import { openLedger } from '../src/store/ledger.ts';
import { annotate } from './simulated-annotator.ts';

/** Answers an iteration: all, and half of them. */
const ALL = 48;
const HALF = 24;

/** How an arm chooses. The first is what the others have to beat. */
const RULES: Record<string, string> = {
  random: 'prompts: random, answers: random',
  'small gap': 'prompts: small-gap, answers: small-gap, beliefs: policy',
  'large gap': 'prompts: large-gap, answers: large-gap, beliefs: policy',
  entropy: 'prompts: entropy, answers: random',
  'info max': 'prompts: doubt, answers: info-max, beliefs: reward-model',
  thompson: 'prompts: random, answers: double-thompson, beliefs: reward-model',
};

/** Chance with all answers, and every rule with half of them. */
const ARMS = [{ rule: 'random', budget: ALL }, ...Object.keys(RULES).map((rule) => ({ rule, budget: HALF }))];

const TASTE = { reward, scale: 8, lapses: 0.03 };
const HELD_OUT = { prompts: 128, samples: 4 };
/** Iterations after which the policy is measured. */
const MEASURED = [2, 4];

/** What a run came to. */
interface Outcome {
  rule: string;
  budget: number;
  seed: number;
  /** Answers given, and of them ties, after each iteration. */
  answers: number[];
  ties: number[];
  /** Mean held-out reward of the base, and after each iteration that is measured. */
  rewards: number[];
  seconds: number;
}

/** Reward of the model that everything begins from, once it is measured. */
let known: Promise<number> | null = null;

const [command = 'tables', folder = 'runs/people-study', ...given] = process.argv.slice(2);
const seeds = given.length > 0 ? given.map(Number) : [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
if (command === 'run') await runAll();
process.stdout.write(tables(outcomes()));

/** Seeds one after the other, so that what is there is whole. */
async function runAll(): Promise<void> {
  mkdirSync(join(folder, 'results'), { recursive: true });
  for (const seed of seeds) {
    for (const { rule, budget } of ARMS) {
      const name = `${rule.replaceAll(' ', '-')}-${budget}-${seed}`;
      const file = join(folder, 'results', `${name}.json`);
      if (existsSync(file)) continue;
      const outcome = await runOne(name, { rule, budget, seed });
      writeFileAtomic(file, `${JSON.stringify(outcome)}\n`);
      const shown = outcome.rewards.map((value) => value.toFixed(3)).join(', ');
      process.stderr.write(`${name}: ${shown}, ${outcome.seconds} s\n`);
    }
  }
}

async function runOne(name: string, arm: { rule: string; budget: number; seed: number }): Promise<Outcome> {
  const startedMs = performance.now();
  const runs = join(folder, 'runs');
  const output = join(runs, name);
  mkdirSync(output, { recursive: true });
  const recipe = loadRecipe(join(packageRoot, 'recipes', 'people.yaml'), {
    overrides: [
      `name=${name}`,
      `output=${output}`,
      `seed=${arm.seed}`,
      'threads=1',
      `select={budget: ${arm.budget}, randomShare: 0.1, ${RULES[arm.rule]}}`,
    ],
  });
  const token = `token-of-the-study-${arm.seed}`;
  const studio = await serveStudio({ folders: [runs], port: 0, token, assets: new Map() });
  let isDone = false;
  const running = runRecipe(recipe).finally(() => {
    isDone = true;
  });
  await Promise.all([
    running,
    annotate({ port: studio.port, token, run: name }, { ...TASTE, seed: arm.seed }, () => isDone),
  ]);
  await studio.close();
  const rewards = [await rewardOfBase(recipe.model)];
  for (const t of MEASURED) rewards.push(await heldOutReward(join(output, `iteration-${t}`, 'model')));
  const answers = answersOf(output, recipe.iterations);
  rmSync(output, { recursive: true });
  return { ...arm, ...answers, rewards, seconds: Math.round((performance.now() - startedMs) / 1000) };
}

/** Measured once: all arms and seeds begin at the same model. */
function rewardOfBase(model: string): Promise<number> {
  known ??= heldOutReward(model);
  return known;
}

/** The true reward of what a model says to held-out prompts: the same random numbers for every model. */
async function heldOutReward(model: string): Promise<number> {
  const file = join(packageRoot, 'recipes', 'quickstart', 'heldout.jsonl');
  const rows = await collectRows(readRows([file], {}), { limit: HELD_OUT.prompts, onBadRow: 'stop' });
  const options = { samples: HELD_OUT.samples, temperature: 1, maxNewTokens: 48, seed: 1 };
  const found: number[] = [];
  for await (const { text } of generate(
    model,
    rows.map(({ prompt }) => prompt),
    options,
  ))
    found.push(...reward('', [text]));
  return mean(found);
}

/** Answers and ties up to the end of each iteration. */
function answersOf(output: string, iterations: number): Pick<Outcome, 'answers' | 'ties'> {
  using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  const { answers, asked } = readQuestions(peopleFolder(output));
  const iterationOf = new Map<string, number>();
  for (let t = 1; t <= iterations; t++) for (const { promptId } of ledger.rankings(t)) iterationOf.set(promptId, t);
  const upTo = (iteration: number, isCounted: (choice: string) => boolean): number =>
    answers.filter(
      ({ question, choice }) =>
        isCounted(choice) && (iterationOf.get(asked.get(question)?.promptId ?? '') ?? 0) <= iteration,
    ).length;
  const all = Array.from({ length: iterations }, (_, i) => i + 1);
  return { answers: all.map((t) => upTo(t, () => true)), ties: all.map((t) => upTo(t, (choice) => choice === 'tie')) };
}

function outcomes(): Outcome[] {
  const results = join(folder, 'results');
  if (!existsSync(results)) return [];
  return readdirSync(results).map((name) => JSON.parse(readFileSync(join(results, name), 'utf8')) as Outcome);
}

/** The tables: each arm by itself, against random with as many answers, and with half the answers against random with all. */
function tables(all: readonly Outcome[]): string {
  const last = ({ rewards }: Outcome): number => rewards.at(-1) ?? Number.NaN;
  const of = (rule: string, budget: number): Map<number, Outcome> =>
    new Map(all.filter((each) => each.rule === rule && each.budget === budget).map((each) => [each.seed, each]));
  const names = Object.keys(RULES);
  const whole = seeds.filter((seed) => ARMS.every(({ rule, budget }) => of(rule, budget).has(seed)));
  const values = (rule: string, budget: number, value: (outcome: Outcome) => number): number[] =>
    whole.map((seed) => {
      const outcome = of(rule, budget).get(seed);
      return outcome === undefined ? Number.NaN : value(outcome);
    });
  const lines = ARMS.map(({ rule, budget }) => {
    const [outcome] = of(rule, budget).values();
    const steps = Array.from({ length: outcome?.rewards.length ?? 0 }, (_, t) =>
      mean(values(rule, budget, ({ rewards }) => rewards[t] ?? Number.NaN)).toFixed(3),
    );
    const ties = mean(values(rule, budget, (each) => (each.ties.at(-1) ?? 0) / (each.answers.at(-1) ?? 1)));
    const given = mean(values(rule, budget, (each) => each.answers.at(-1) ?? 0));
    return `| ${rule} | ${given.toFixed(0)} | ${(100 * ties).toFixed(0)} % | ${steps.join(' | ')} |`;
  });
  /** Differences of the last rewards, corrected for the number of rules. */
  const against = (budget: number, other: number, rules: readonly string[]): string[] => {
    const base = values('random', other, last);
    const differences = rules.map((rule) => values(rule, budget, last).map((value, i) => value - (base[i] ?? 0)));
    const corrected = holm(differences.map((each) => signFlipTest(each, 1)));
    return differences.map((each, i) => {
      const { value, low, high } = studentTest(each) ?? { value: mean(each), low: Number.NaN, high: Number.NaN };
      const sign = (x: number): string => `${x < 0 ? '−' : '+'}${Math.abs(x).toFixed(3)}`;
      return `| ${rules[i]} | ${sign(value)} [${sign(low)}, ${sign(high)}] | ${(corrected[i] ?? 1).toFixed(3)} |`;
    });
  };
  const cleverer = names.filter((rule) => rule !== 'random');
  const head = '| rule | difference of held-out reward | p, Holm |\n| --- | --- | --- |';
  return `${whole.length} seeds are whole: ${whole.join(', ')}

| rule | answers | ties | base | ${MEASURED.map((t) => `iteration ${t}`).join(' | ')} |
| --- | --- | --- | --- | --- | --- |
${lines.join('\n')}

Half the answers, against chance with all of them:

${head}
${against(HALF, ALL, names).join('\n')}

Half the answers, against chance with as many:

${head}
${against(HALF, HALF, cleverer).join('\n')}
`;
}
