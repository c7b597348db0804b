/**
 * @file The card of a saved model: README.md in Hugging Face's form, metadata in YAML and a text. A pure function of its
 * facts: no clock, no path of this machine. What the facts are is the caller's business.
 * Form: https://huggingface.co/docs/hub/model-cards.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { snapshotName } from '../hub/cache.ts';

/** What a base model's own card says of its licence, in Hugging Face's fields; `other` and `unknown` where it says none. */
export interface Licence {
  license: string;
  license_name?: string;
  license_link?: string;
}

export interface ModelCard {
  title: string;
  /** The base by its name on the Hub, `owner/name`, or its folder's. */
  baseModel: string;
  licence: Licence;
  library: 'transformers' | 'peft';
  tags: readonly string[];
  /** Names on the Hub; data of other places are for the text. */
  datasets: readonly string[];
  /** What the model is, in a sentence or two. */
  summary: string;
  sections: readonly { title: string; text: string }[];
}

/** The text of README.md. */
export function formatModelCard(card: ModelCard): string {
  const metadata = {
    ...baseFields(card),
    ...card.licence,
    library_name: card.library,
    pipeline_tag: 'text-generation',
    tags: card.tags,
    ...(card.datasets.length === 0 ? {} : { datasets: card.datasets }),
  };
  const sections = card.sections.map(({ title, text }) => `## ${title}\n\n${text.trim()}\n`);
  return `---\n${stringify(metadata, { lineWidth: 0 })}---\n\n# ${card.title}\n\n${[`${card.summary}\n`, ...sections].join('\n')}`;
}

/** The Hub links `base_model`, so a folder's name, which means nothing there, is kept under another key. */
function baseFields({ baseModel, library }: ModelCard): Record<string, string> {
  if (!baseModel.includes('/')) return { base_folder: baseModel };
  return { base_model: baseModel, ...(library === 'peft' ? { base_model_relation: 'adapter' } : {}) };
}

/** A table of Markdown. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/**
 * A model folder's name for others: `org/name` where it lies in Hugging Face's cache; the base of a model that was itself
 * made here, whose folder's name says nothing; else the folder's own name.
 */
export function modelName(directory: string): string {
  const cached = snapshotName(directory);
  if (cached !== null) return cached.repository;
  const { base_model: onHub, base_folder: folder, tags } = readMetadata(directory);
  const base = onHub ?? folder;
  return typeof base === 'string' && Array.isArray(tags) && tags.includes('selm') ? base : basename(directory);
}

/** The licence that a model folder's card (README.md) names. A card that cannot be understood names none. */
export function licenceOf(directory: string): Licence {
  const { license, license_name: name, license_link: link } = readMetadata(directory);
  if (typeof license !== 'string' || !/^[\w.+-]{1,64}$/.test(license))
    return { license: 'other', license_name: 'unknown' };
  return {
    license,
    ...(typeof name === 'string' ? { license_name: name } : {}),
    ...(typeof link === 'string' ? { license_link: link } : {}),
  };
}

/** The metadata of a folder's README.md; empty where there is none that can be understood. */
function readMetadata(directory: string): Record<string, unknown> {
  const path = join(directory, 'README.md');
  if (!existsSync(path)) return {};
  const front = /^---\r?\n([\s\S]*?)\r?\n---/.exec(readFileSync(path, 'utf8'))?.[1] ?? '';
  // Bounded: a base's card comes from elsewhere.
  if (front.length > 100_000) return {};
  try {
    const value: unknown = parse(front, { maxAliasCount: 0 });
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** The licence in a sentence. */
export function licenceText(baseModel: string, { license, license_name: name }: Licence): string {
  return license === 'other' && name === 'unknown'
    ? `Unknown: the base model ${baseModel} came without a card that names its licence. Find it before you share this model; whoever made the base decides.`
    : `${name ?? license}, as the card of the base model ${baseModel} says; its terms hold for this model too.`;
}
