/**
 * @file What it takes to measure one model on a recipe's benchmarks: items and tokens, counted from the rows if they
 * are on this machine.
 */
import { readExamples, readRows } from '../evaluate/benchmarks/items.ts';
import { promptsOf } from '../evaluate/benchmarks/shots.ts';
import { type LoadedTask, loadTask, placeTask } from '../evaluate/benchmarks/tasks.ts';
import { mean } from '../evaluate/statistics.ts';
import { tasksOf } from '../loop/evaluation/benchmarks.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { Tokenizer } from '../text/tokenizer/tokenizer.ts';

/** A benchmark before it is asked. */
export interface BenchmarkFacts {
  title: string;
  shots: number;
  limit: number | null;
  /** Items that each model is asked; null where the rows are not here. */
  items: number | null;
  /** Tokens that each model reads, and those that it generates at most; null where they are not known. */
  tokens: { read: number; generated: number } | null;
}

/** Items whose tokens stand for all. */
const SAMPLED_ITEMS = 32;

/**
 * The benchmarks of a recipe. Nothing is fetched from the Hub: of rows there only the limit is known. Throws what the run itself would
 * refuse (`loadTask`).
 */
export async function benchmarkFacts({ evaluate }: Recipe, tokenizer: Tokenizer | null): Promise<BenchmarkFacts[]> {
  const { benchmarks } = evaluate;
  if (benchmarks === null) return [];
  const facts: BenchmarkFacts[] = [];
  for (const task of tasksOf(benchmarks)) {
    const { benchmark, shots, limit } = task;
    const about = { title: benchmark.title, shots, limit };
    if (benchmarks.data === null) {
      facts.push({ ...about, items: null, tokens: null });
      continue;
    }
    const loaded = await loadTask(await placeTask(task, { folder: benchmarks.data }));
    facts.push({ ...about, items: loaded.items, tokens: tokenizer === null ? null : tokensOf(loaded, tokenizer) });
  }
  return facts;
}

function tokensOf(
  { benchmark, shots, limit, rows, exampleRows, items }: LoadedTask,
  tokenizer: Tokenizer,
): { read: number; generated: number } {
  const { asked, readable } = readRows(benchmark, rows, limit ?? undefined);
  const every = Math.max(1, Math.floor(asked.length / SAMPLED_ITEMS));
  const sampled = asked.filter((_, place) => place % every === 0).map(({ item }) => item);
  const examples = readExamples(benchmark, exampleRows);
  const prompts = promptsOf(benchmark, sampled, { shots, pool: examples.length > 0 ? examples : readable });
  const count = (texts: readonly string[]): number =>
    tokenizer.encodeBatch(texts).reduce((sum, ids) => sum + ids.length, 0);
  const read = sampled.map(({ question }, place) =>
    count([prompts[place] ?? '', ...(question.kind === 'choices' ? question.choices : [])]),
  );
  const generated = sampled.map(({ question }) => (question.kind === 'generation' ? question.maxNewTokens : 0));
  return { read: items * mean(read), generated: items * mean(generated) };
}
