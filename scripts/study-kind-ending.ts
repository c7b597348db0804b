/**
 * @file Why is the quickstart's kind ending not found? Of finished runs of its recipe: how many samples have one, what the ranker
 * makes of them, and what training does to the probability of the chosen responses that have one and that have none.
 *
 *     npx tsx scripts/study-kind-ending.ts RUN ...
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { collectRows, readRows } from '../src/data/read.ts';
import { mean } from '../src/evaluate/statistics.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { implicitRewards } from '../src/loop/evaluation/implicit-rewards.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { Recipe } from '../src/recipe/schema.ts';
import { openLedger } from '../src/store/ledger.ts';
import type { StoredPair } from '../src/store/ledger-rows.ts';

/** A reward from here on has a kind ending: without one it is at most 0.5. */
const KIND = 0.65;
const folder = mkdtempSync(join(tmpdir(), 'selm-kind-'));
const hasKindEnding = ({ scoreChosen }: StoredPair): boolean => (scoreChosen ?? 0) >= KIND;

/** Mean change of log-probability in nats from the policy before iteration t to the one after it, on pairs of t. */
async function changes(recipe: Recipe, { iteration, pairs }: { iteration: number; pairs: StoredPair[] }) {
  const rows = await collectRows(readRows(recipe.data.train, recipe.data.columns), { limit: null, onBadRow: 'stop' });
  const promptOf = new Map(rows.map(({ promptId, prompt }) => [promptId, prompt]));
  const file = join(folder, 'pairs.jsonl');
  const lines = pairs.map(({ promptId, chosen, rejected }) => {
    const prompt = promptOf.get(promptId);
    return JSON.stringify({ prompt: prompt?.kind === 'text' ? prompt.text : '', chosen, rejected });
  });
  writeFileSync(file, `${lines.join('\n')}\n`);
  const rewardsOf = (of: number) =>
    implicitRewards(recipe, { file, limit: pairs.length, iteration: of, known: new Map() });
  const after = await rewardsOf(iteration);
  const before = iteration === 1 ? null : await rewardsOf(iteration - 1);
  const change = (which: 'chosen' | 'rejected'): number[] =>
    after[which].map((reward, index) => (reward - (before?.[which][index] ?? 0)) / after.beta);
  return { chosen: change('chosen'), rejected: change('rejected') };
}

try {
  process.stdout.write(
    '| run, iteration | samples with a kind ending | of them chosen | rejected | chosen with one: nats | chosen without: nats | rejected: nats |\n| --- | --- | --- | --- | --- | --- | --- |\n',
  );
  for (const run of process.argv.slice(2)) {
    const recipe = { ...loadRecipe(join(packageRoot, 'recipes', 'quickstart.yaml')), output: run };
    for (let iteration = 1; iteration <= recipe.iterations; iteration++) {
      using ledger = openLedger(join(run, 'run.db'), { access: 'read' });
      const scores = ledger.rankings(iteration).flatMap((ranking) => [...(ranking.scores ?? [])]);
      const pairs = ledger.pairs(iteration);
      const change = await changes(recipe, { iteration, pairs });
      const of = (which: 'chosen' | 'rejected', wanted: boolean | null): string => {
        const values = change[which].filter((_, index) => {
          const pair = pairs[index];
          return pair !== undefined && (wanted === null || hasKindEnding(pair) === wanted);
        });
        return values.length === 0 ? '' : `${mean(values).toFixed(1)} (${values.length})`;
      };
      const sampled = scores.filter((score) => score >= KIND).length;
      const rejected = pairs.filter(({ scoreRejected }) => (scoreRejected ?? 0) >= KIND).length;
      process.stdout.write(
        `| ${basename(run)}, ${iteration} | ${sampled} of ${scores.length} | ${pairs.filter(hasKindEnding).length} | ${rejected} | ${of('chosen', true)} | ${of('chosen', false)} | ${of('rejected', null)} |\n`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
