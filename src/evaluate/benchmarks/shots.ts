/** @file Prompts with examples before the question, put together and drawn as lm-evaluation-harness does. Pure. */
import { DataError } from '../../errors.ts';
import { PythonRandom } from '../../python-random.ts';
import type { Benchmark, BenchmarkItem } from './benchmark.ts';

/** What an example shows, and whose example it may be. */
export type Example = Pick<BenchmarkItem, 'opening' | 'text' | 'target' | 'groups'>;

/** The harness's own seed. */
const SEED = 1234;

/**
 * The prompt of each item, in order: its examples are drawn by one generator, item after item, so that they depend on the items
 * before it and not on what is left of them to be asked.
 *
 * @param pool where examples are drawn from
 * @throws DataError EVALUATION_SHOTS where there are too few
 */
export function promptsOf(
  benchmark: Benchmark,
  items: readonly Example[],
  { shots, pool }: { shots: number; pool: readonly Example[] },
): string[] {
  const { examples, name } = benchmark;
  if (shots === 0 || examples.kind === 'none') return items.map((item) => withExamples([], item));
  if (examples.kind === 'fixed') {
    checkPool(name, { shots, available: examples.items.length });
    return items.map((item) => withExamples(examples.items.slice(0, shots), item));
  }
  if (examples.kind === 'first') {
    return items.map((item) => {
      const own = pool.filter(({ groups }) => groups?.[0] === item.groups?.[0]);
      checkPool(name, { shots, available: own.length, group: item.groups?.[0] });
      return withExamples(own.slice(0, shots), item);
    });
  }
  const drawn = shots + (examples.rule === 'anyButItself' ? 1 : 0);
  checkPool(name, { shots: drawn, available: pool.length });
  const random = new PythonRandom(SEED);
  return items.map((item) => {
    const chosen = random.sample(pool.length, drawn).flatMap((place) => pool[place] ?? []);
    if (examples.rule === 'others') return withExamples(chosen, item);
    const others = chosen.filter((each) => !isSame(each, item));
    if (others.length >= shots) return withExamples(others.slice(0, shots), item);
    // The item stands in the pool more than once.
    const rest = pool.filter((each) => !isSame(each, item));
    checkPool(name, { shots, available: rest.length });
    return withExamples(
      random.sample(rest.length, shots).flatMap((place) => rest[place] ?? []),
      item,
    );
  });
}

function withExamples(examples: readonly Example[], { opening = '', text }: Example): string {
  return opening + examples.map((each) => `${each.text} ${each.target ?? ''}\n\n`).join('') + text;
}

function isSame(a: Example, b: Example): boolean {
  return a.text === b.text && a.target === b.target;
}

function checkPool(
  name: string,
  { shots, available, group }: { shots: number; available: number; group?: string | undefined },
): void {
  if (available >= shots) return;
  const where = group === undefined ? '' : ` of ${group}`;
  throw new DataError(
    'EVALUATION_SHOTS',
    `Cannot evaluate ${name}: ${shots} examples${where} are to be shown and there are ${available}: lower the number of shots, or give a file of training rows beside the others`,
    { details: { benchmark: name, shots, available, ...(group === undefined ? {} : { group }) } },
  );
}
