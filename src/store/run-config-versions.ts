/**
 * @file The versions of config.yaml, and what makes one of them the next. A new setting needs nothing here as long as its
 * default does what runs did before there was the setting; one that does not gets a step that writes down the old way.
 */

/** Version of config.yaml and of the layout of the directory. A change of meaning raises it and brings a step below. */
export const RUN_FORMAT_VERSION = 3;

type Content = Record<string, unknown>;

/** Item n makes version n + 2 of version n + 1. */
const STEPS: readonly ((content: Content) => Content)[] = [ofVersion1, ofVersion2];

/** The content of a config.yaml of any version so far, as this version writes it. */
export function upToDate(content: { formatVersion: number }): Content {
  const steps = STEPS.slice(content.formatVersion - 1);
  return { ...steps.reduce<Content>((made, step) => step(made), { ...content }), formatVersion: RUN_FORMAT_VERSION };
}

function ofVersion1(content: Content): Content {
  return content;
}

/** Prompts that are texts were continued as they are, whatever the model; now they are messages of the user by default. */
function ofVersion2(content: Content): Content {
  const recipe = asContent(content.recipe);
  return { ...content, recipe: { ...recipe, text: { prompts: 'raw', ...asContent(recipe.text) } } };
}

function asContent(value: unknown): Content {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
