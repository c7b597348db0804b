/** @file The file of a benchmark: worlds, methods and seeds, and how much each run may ask. Every method meets every world. */
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { BONUS_FORMS } from '../objective/exploratory-bonus.ts';
import type { ObjectiveOptions } from '../objective/objective.ts';
import type { RecipeProblem } from '../recipe/checks.ts';
import { fromZero, integer, listOf, oneOf, path, positive, probability, yesOrNo } from '../recipe/fields.ts';
import { type LoadOptions, readForm } from '../recipe/load.ts';
import { chosenLikelihood, exploration, preference } from '../recipe/objective.ts';
import { runFields } from '../recipe/run-fields.ts';
import { RULES, type SelectRuleName } from '../select/rules.ts';
import type { Budget, Method } from './method.ts';
import { gridProblems } from './names.ts';
import type { WorldSettings } from './world.ts';

const RULE_NAMES = Object.keys(RULES) as [SelectRuleName, ...SelectRuleName[]]; // the keys of an object with these keys

const worldFields = {
  prompts: integer(1).default(8),
  responses: integer(4).default(500),
  features: integer(1).default(24),
  baseSpread: fromZero().default(1),
  rareResponses: integer(1).default(4),
  rareShare: probability().default(0.01),
  rareReward: fromZero().default(4),
  labelScale: positive().default(1),
  policy: oneOf(['table', 'features']).default('table'),
  learningRate: positive().default(100),
};

const pairing = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ kind: z.literal('rank'), rule: oneOf(['best-and-worst', 'diverse', 'all-pairs']) }),
    z.strictObject({
      kind: z.literal('ask'),
      rule: oneOf(RULE_NAMES),
      beliefs: oneOf(['implicit', 'learned']).default('implicit'),
    }),
    z.strictObject({ kind: z.literal('inform') }),
  ],
  { error: 'one of rank, ask, inform' },
);

const method = z.strictObject({
  name: path('a name'),
  exploration: exploration.prefault({ kind: 'none' }),
  preference: preference.prefault({ kind: 'dpo', beta: 0.1 }),
  chosenLikelihood,
  samples: integer(2).default(2),
  temperature: positive().default(1),
  partnerTemperature: positive().optional(),
  pairing: pairing.prefault({ kind: 'rank', rule: 'best-and-worst' }),
  prompts: oneOf(['any', 'entropy']).default('any'),
  reference: oneOf(['previous', 'initial']).default('previous'),
  accumulate: yesOrNo().default(false),
  passes: integer(1).optional(),
  countBonus: fromZero().default(0),
  exploratoryBonus: z.strictObject({ form: oneOf(BONUS_FORMS), alpha: fromZero() }).optional(),
});

/** The whole file as it is written. */
const gridSchema = z.strictObject({
  name: runFields.name,
  output: path('a path').nullable().default(null),
  seeds: z.strictObject({ first: integer(1).default(1), count: integer(2).default(30) }).prefault({}),
  labels: integer(1).default(1024),
  labelsAnIteration: integer(1).default(64),
  epochs: integer(1).default(2),
  batchSize: integer(1).default(16),
  worlds: listOf(z.strictObject({ name: path('a name'), ...worldFields }), 'a list of worlds, each with a name'),
  baseline: path('the name of a method'),
  /** Methods whose curves are drawn; the others are in the tables. */
  drawn: listOf(path('the name of a method'), 'a list of names of methods'),
  methods: listOf(method, 'a list of methods, each with a name'),
});

/** A benchmark with nothing left open. */
export interface BenchGrid {
  readonly name: string;
  readonly output: string;
  readonly seeds: readonly number[];
  readonly baseline: string;
  readonly drawn: readonly string[];
  readonly worlds: readonly { readonly name: string; readonly settings: WorldSettings; readonly budget: Budget }[];
  readonly methods: readonly Method[];
}

type Parsed = z.output<typeof gridSchema>;

/** Reads, checks and resolves a benchmark's file. Throws RecipeError or FileError. */
export function loadGrid(file: string, options: LoadOptions = {}): BenchGrid {
  const form = { schema: gridSchema, crossChecks: checkGrid, noun: 'benchmark' };
  const [parsed, { workingDirectory }] = readForm(file, form, options);
  const { labels, labelsAnIteration, epochs, batchSize, seeds } = parsed;
  return {
    name: parsed.name,
    output: resolve(workingDirectory, parsed.output ?? join('runs', parsed.name)),
    seeds: Array.from({ length: seeds.count }, (_, index) => seeds.first + index),
    baseline: parsed.baseline,
    drawn: parsed.drawn,
    worlds: parsed.worlds.map(({ name, learningRate, ...settings }) => ({
      name,
      settings,
      budget: { labels, labelsAnIteration, epochs, batchSize, learningRate },
    })),
    methods: parsed.methods.map(methodOf),
  };
}

function methodOf(parsed: Parsed['methods'][number]): Method {
  const { exploration: term, preference: loss, chosenLikelihood: weight, ...others } = parsed;
  const { passes, partnerTemperature, exploratoryBonus, ...always } = others;
  const objective: ObjectiveOptions = {
    preference: loss,
    exploration: term.kind === 'none' ? term : { kind: term.kind, alpha: Number(term.alpha) },
    chosenLikelihood: weight,
  };
  // What a method does not say has no part in what its result is known by.
  return {
    ...always,
    objective,
    ...(passes === undefined ? {} : { passes }),
    ...(partnerTemperature === undefined ? {} : { partnerTemperature }),
    ...(exploratoryBonus === undefined ? {} : { exploratoryBonus }),
  };
}

/** Names given twice or not at all, lists where one number is meant. */
function checkGrid(parsed: Parsed): RecipeProblem[] {
  const lists = parsed.methods.flatMap(({ exploration: term }, index): RecipeProblem[] =>
    term.kind === 'none' || typeof term.alpha === 'number'
      ? []
      : [{ path: ['methods', index, 'exploration', 'alpha'], problem: 'is a list: give one number' }],
  );
  return [...gridProblems(parsed), ...lists];
}
