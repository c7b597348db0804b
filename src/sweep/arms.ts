/** @file The arms of a sweep, from its grids and its list: which settings each has, and what it is called. Pure. */
import { RecipeError } from '../errors.ts';
import { sha256 } from '../files/hash.ts';
import { nearest } from '../recipe/nearest.ts';
import type { Grid, Settings, Sweep } from '../recipe/sweep.ts';

/** One way of running the recipe. */
export interface Arm {
  /** Name of its folder: `alpha-0.005`. */
  name: string;
  /** For people: `alpha = 0.005`. */
  label: string;
  settings: Settings;
  /** Place of the grid that it is a point of; null for one of the list. */
  grid: number | null;
}

/** Longest name of a grid's point; what is cut off is told by a hash in its place. */
const LONGEST_NAME = 48;

/**
 * The points of all grids in their order, the last setting changing fastest, then the arms of the list. Without any there
 * is one arm, the recipe itself. A point that two grids have in common is there once.
 *
 * @throws RecipeError SWEEP_ARMS_ALIKE, SWEEP_BASELINE
 */
export function armsOf({ name, grids, arms, baseline }: Pick<Sweep, 'name' | 'grids' | 'arms' | 'baseline'>): Arm[] {
  const points = grids.flatMap((grid, index) =>
    Object.keys(grid).length === 0 ? [] : pointsOf(grid).map((settings) => pointArm(settings, index)),
  );
  const listed = arms.map((arm): Arm => ({ name: arm.name, label: arm.name, settings: arm.set, grid: null }));
  const all = [...points, ...listed];
  if (all.length === 0) return [{ name: 'recipe', label: 'the recipe', settings: {}, grid: null }];

  const byName = new Map<string, Arm>();
  for (const arm of all) {
    const same = byName.get(arm.name.toLowerCase()); // folders of some systems do not tell case apart
    if (same === undefined) byName.set(arm.name.toLowerCase(), arm);
    else if (JSON.stringify(same.settings) !== JSON.stringify(arm.settings)) {
      throw new RecipeError(
        'SWEEP_ARMS_ALIKE',
        `Cannot run sweep "${name}": two of its arms would be called "${arm.name}": give one of them in arms, under another name`,
        { details: { sweep: name, arm: arm.name } },
      );
    }
  }
  const found = [...byName.values()];
  if (baseline !== null && !found.some((arm) => arm.name === baseline)) {
    const names = found.map((arm) => arm.name);
    const near = nearest(baseline, names);
    throw new RecipeError(
      'SWEEP_BASELINE',
      `Cannot run sweep "${name}": its baseline "${baseline}" is not an arm: ${near === null ? `its arms are ${names.slice(0, 20).join(', ')}` : `did you mean "${near}"`}`,
      { details: { sweep: name, baseline, arms: names } },
    );
  }
  return found;
}

/** Every combination of a grid's values. */
export function pointsOf(grid: Grid): Settings[] {
  return Object.entries(grid).reduce<Settings[]>(
    (points, [setting, values]) => points.flatMap((point) => values.map((value) => ({ ...point, [setting]: value }))),
    [{}],
  );
}

function pointArm(settings: Settings, grid: number): Arm {
  const entries = Object.entries(settings);
  const short = entries.map(([setting]) => shortName(setting, Object.keys(settings)));
  return {
    name: nameOf(entries.map(([, value], index) => `${short[index]}-${valueText(value)}`).join('_')),
    label: entries.map(([, value], index) => `${short[index]} = ${valueText(value)}`).join(', '),
    settings,
    grid,
  };
}

/** The last part of a setting's name, or all of it where two settings end alike. */
export function shortName(setting: string, all: readonly string[]): string {
  const last = (name: string): string => name.slice(name.lastIndexOf('.') + 1);
  return all.filter((each) => last(each) === last(setting)).length > 1 ? setting : last(setting);
}

/** A value as it stands in names: `0.005`, `linear`, `[0.1, 0.2]`, `kind none`. */
export function valueText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(valueText).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([key, part]) => `${key} ${valueText(part)}`)
    .join(' ');
}

/** A text as the name of a folder, which no other text is likely to have. */
function nameOf(text: string): string {
  const plain = text
    .replaceAll(/[^A-Za-z0-9._]+/g, '-')
    .replaceAll(/^[-._]+|[-._]+$/g, '')
    .replaceAll(/-*_-*/g, '_');
  return plain.length <= LONGEST_NAME ? plain : `${plain.slice(0, LONGEST_NAME - 7)}-${sha256(text).slice(0, 6)}`;
}
