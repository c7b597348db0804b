/**
 * @file What a run does again because its settings changed: the stages of the first unfinished iteration from some
 * stage on, and measurements. Whatever is finished stays.
 */
import type { RedoFrom, RunChange } from './changes.ts';
import type { Ledger, MadeTable } from './ledger.ts';
import type { AnyRecipe } from './run-config.ts';

/** What is to be done again. */
export interface Redo {
  /** The first unfinished iteration and the work in it that begins again; null where there is none of it. */
  work: { iteration: number; from: RedoFrom } | null;
  /** Iterations whose models are trained, and stay. */
  kept: readonly number[];
  /** Iterations that were measured and are measured again. */
  measured: readonly number[];
}

/** The works of an iteration in their order: its stages, and the rows of items that they make. */
const WORKS: readonly { from: RedoFrom; stages: readonly string[]; tables: readonly MadeTable[]; result: string }[] = [
  { from: 'sample', stages: ['sample'], tables: ['responses'], result: 'responses' },
  // Other answers of a prompt make another verdict on it.
  { from: 'select', stages: ['select'], tables: ['rankings'], result: 'selection' },
  // Verdicts are kept under the ranker that gave them: another one is asked anew, the same one is not.
  { from: 'rank', stages: ['label', 'reward-model', 'rank', 'second-opinion'], tables: [], result: 'rankings' },
  { from: 'pair', stages: ['pair'], tables: ['pairs'], result: 'pairs' },
  { from: 'train', stages: ['reference', 'train', 'sft'], tables: [], result: 'training' },
];

/** What the changes of a run make it do again. */
export function redoOf(changes: readonly RunChange[], recipe: AnyRecipe, ledger: Ledger): Redo {
  const isFinished = (iteration: number, stage: string): boolean =>
    ledger.stages.status(iteration, stage) === 'finished';
  const iterations = iterationsOf(recipe);
  const kept = iterations.filter((iteration) => isFinished(iteration, 'train'));
  const effects = changes.map(({ effect }) => effect);
  const froms = effects.flatMap((effect) => (effect.kind === 'done-again' ? [effect.from] : []));
  const first = iterations.find((iteration) => !kept.includes(iteration));
  const from = WORKS.find((work) => froms.includes(work.from))?.from;
  const measures = effects.some(
    (effect) =>
      effect.kind === 'measured-again' ||
      (effect.kind === 'done-again' && (effect.from === 'sample' || effect.from === 'rank')),
  );
  const measured = [0, ...iterations.filter((iteration) => iteration > 0)].filter((iteration) =>
    isFinished(iteration, 'evaluate'),
  );
  return {
    work: first === undefined || from === undefined ? null : { iteration: first, from },
    kept,
    measured: measures ? measured : [],
  };
}

/** Whether there is anything to do again. */
export function doesAgain({ work, measured }: Redo): boolean {
  return work !== null || measured.length > 0;
}

/** Takes back in the ledger what is to be done again. */
export function takeBack(ledger: Ledger, { work, measured }: Redo): void {
  if (work !== null) {
    const works = WORKS.slice(WORKS.findIndex(({ from }) => from === work.from));
    const [stages, tables] = [works.flatMap((each) => each.stages), works.flatMap((each) => each.tables)];
    ledger.takeBack(work.iteration, { stages, tables });
  }
  for (const iteration of measured) ledger.takeBack(iteration, { stages: ['evaluate'], tables: [] });
}

/** What is kept and what is done again, as a sentence without its full stop. */
export function describeRedo({ work, kept, measured }: Redo, recipe: AnyRecipe): string {
  const parts: string[] = [];
  const isSft = !('ranker' in recipe);
  if (kept.length > 0) parts.push(`${kept.map(nameOf).join(', ')} ${kept.length === 1 ? 'stays' : 'stay'} as made`);
  if (work !== null) {
    const works = WORKS.filter(({ from }) => from !== 'select' || ('select' in recipe && recipe.select !== null));
    const begin = WORKS.findIndex(({ from }) => from === work.from);
    const isAgain = (each: (typeof WORKS)[number]): boolean => WORKS.indexOf(each) >= begin;
    const stays = works.filter((each) => !isAgain(each)).map(({ result }) => result);
    const again = works.filter(isAgain).map(({ result }) => result);
    const whose = isSft ? 'the fine-tuning' : nameOf(work.iteration);
    const rest = isSft || stays.length === 0 ? '' : `, and its ${listed(stays)} are kept`;
    parts.push(
      `${isSft ? 'training' : listed(again)} of ${whose} ${again.length === 1 ? 'is' : 'are'} done again${rest}`,
    );
  } else if (!isSft) parts.push('no iteration is done again');
  if (measured.length > 0) parts.push('the models that were measured are measured again');
  return parts.join('; ');
}

function nameOf(iteration: number): string {
  return iteration === 0 ? 'the warm start' : `iteration ${iteration}`;
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

/** Iterations that train, in their order; a fine-tuning and a warm start are 0. */
function iterationsOf(recipe: AnyRecipe): number[] {
  if (!('ranker' in recipe)) return [0];
  const first = recipe.warmStart === 'none' ? 1 : 0;
  return Array.from({ length: recipe.iterations + 1 - first }, (_, index) => first + index);
}
