/**
 * @file Checks the names in a benchmark's file: each world and method has its own, and every name that is used exists.
 */
import type { RecipeProblem } from '../recipe/checks.ts';

interface Named {
  readonly name: string;
}

/** Names given twice, and a baseline or a drawn method that is none. */
export function gridProblems({
  worlds,
  methods,
  baseline,
  drawn,
}: {
  worlds: readonly Named[];
  methods: readonly Named[];
  baseline: string;
  drawn: readonly string[];
}): RecipeProblem[] {
  const names = methods.map(({ name }) => name);
  const problems: RecipeProblem[] = [];
  for (const [key, all] of [
    ['worlds', worlds.map(({ name }) => name)],
    ['methods', names],
  ] as const) {
    const name = all.find((each, index) => all.indexOf(each) !== index);
    if (name !== undefined) problems.push({ path: [key], problem: `has "${name}" twice: give each a name of its own` });
  }
  for (const name of [baseline, ...drawn]) {
    if (names.includes(name)) continue;
    const key = name === baseline ? 'baseline' : 'drawn';
    problems.push({ path: [key], problem: `names "${name}", which is no method of the file` });
  }
  return problems;
}
