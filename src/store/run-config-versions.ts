/**
 * @file The versions of config.yaml, and the step from each to the next. A new setting needs no step if its default
 * does what runs did before the setting existed. Otherwise a step writes the old behaviour down.
 */

import { SAMPLED } from './identity.ts';

/** Version of config.yaml and of the layout of the directory. A change of meaning raises it and brings a step below. */
export const RUN_FORMAT_VERSION = 6;

type Content = Record<string, unknown>;

/** Item n makes version n + 2 of version n + 1. */
const STEPS: readonly ((content: Content) => Content)[] = [ofVersion1, ofVersion2, ofVersion3, ofVersion4, ofVersion5];

/** The content of a config.yaml of any version so far, as this version writes it. */
export function upToDate(content: { formatVersion: number }): Content {
  const steps = STEPS.slice(content.formatVersion - 1);
  return { ...steps.reduce<Content>((made, step) => step(made), { ...content }), formatVersion: RUN_FORMAT_VERSION };
}

/** With version 2 settings could change; nothing of what was written did. */
function ofVersion1(content: Content): Content {
  return content;
}

/** Prompts that are texts were continued as they are, whatever the model; now they are messages of the user by default. */
function ofVersion2(content: Content): Content {
  const recipe = asContent(content.recipe);
  return { ...content, recipe: { ...recipe, text: { prompts: 'raw', ...asContent(recipe.text) } } };
}

/** A model was known by samples of its weights, a ranker by its module, prompt file or model alone. */
function ofVersion3(content: Content): Content {
  const { model, ranker, rankerModel, secondRankerModel, ...others } = asContent(content.identity);
  const files = Array.isArray(ranker) ? ranker.map((file) => ({ name: 'file', sha256: asContent(file).sha256 })) : [];
  const models = [rankerModel, secondRankerModel].flatMap((fingerprint) =>
    fingerprint === undefined ? [] : [{ name: 'model', sha256: `${SAMPLED}${fingerprint}` }],
  );
  const identity = { ...others, model: `${SAMPLED}${model}`, ranker: [...files, ...models], secondRanker: [] };
  return { ...content, identity };
}

/** AlpacaEval and MT-Bench each said where their judge is; now `evaluate.judge` says it, and they name another model at most. */
function ofVersion4(content: Content): Content {
  const recipe = asContent(content.recipe);
  const evaluate = asContent(recipe.evaluate);
  const [alpaca, mtBench] = [evaluate.alpaca ?? null, evaluate.mtBench ?? null].map((measure) =>
    measure === null ? null : asContent(measure),
  );
  if ((alpaca ?? null) === null && (mtBench ?? null) === null) return content;
  const { read, ...ofAlpaca } = asContent(alpaca?.judge);
  // Of two different servers the first is kept: where a judge is may change in any run.
  const judge = alpaca == null ? asContent(mtBench?.judge) : ofAlpaca;
  const ownModel = (measure: Content): unknown => {
    const { model } = asContent(measure.judge);
    return model === judge.model ? null : model;
  };
  return {
    ...content,
    recipe: {
      ...recipe,
      evaluate: {
        ...evaluate,
        judge,
        alpaca: alpaca == null ? null : { ...alpaca, judge: ownModel(alpaca), ...(read === undefined ? {} : { read }) },
        mtBench: mtBench == null ? null : { ...mtBench, judge: ownModel(mtBench) },
      },
    },
  };
}

/** People had a budget of their own, for doubt and a tenth of chance; now `select` says what any ranker is asked about. */
function ofVersion5(content: Content): Content {
  const { secondOpinion, ...recipe } = asContent(content.recipe);
  const { ranker, budget } = withoutBudget(recipe.ranker);
  const select = budget === null ? {} : { select: { budget } };
  const opinion = secondOpinion == null ? {} : { secondOpinion: withOwnRanker(asContent(secondOpinion)) };
  return {
    ...content,
    recipe: { ...recipe, ...(recipe.ranker === undefined ? {} : { ranker }), ...select, ...opinion },
  };
}

/** What people were asked as a second opinion they have been asked: a later iteration asks what `share` and `doubtMargin` say. */
function withOwnRanker(secondOpinion: Content): Content {
  return { ...secondOpinion, ranker: withoutBudget(secondOpinion.ranker).ranker };
}

function withoutBudget(settings: unknown): { ranker: unknown; budget: unknown } {
  const { budget, ...ranker } = asContent(settings);
  return ranker.kind === 'people' ? { ranker, budget: budget ?? null } : { ranker: settings, budget: null };
}

function asContent(value: unknown): Content {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
