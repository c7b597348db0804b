/**
 * @file The files of a model folder that go onto the Hub: weights, settings, tokenizer and card. The base is named by
 * its Hub name, in the card and, for an adapter, where PEFT looks for it: a path of this machine means nothing to
 * others.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { ModelError } from '../errors.ts';
import { modelFiles } from '../hub/choose.ts';
import type { FileToPush } from '../hub/push.ts';
import { isAdapterDirectory } from '../model/adapter/adapter.ts';
import { looksLikeHubName } from '../model/adapter/base.ts';
import { type Licence, licenceOf } from '../model/card.ts';

const CARD = 'README.md';
const ADAPTER_SETTINGS = 'adapter_config.json';

/** A model as it will be on the Hub. */
export interface SharedModel {
  kind: 'model' | 'adapter';
  files: FileToPush[];
  bytes: number;
  /** Name of the base on the Hub; null where it has none. */
  base: string | null;
  licence: Licence;
}

/** Reads a model folder; `base` takes the place of what its card names. ModelError. */
export function sharedModel(folder: string, { base: given }: { base: string | null }): SharedModel {
  const kind = isAdapterDirectory(folder) ? 'adapter' : 'model';
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const wanted = modelFiles(names);
  if (!wanted.some((name) => name.endsWith('.safetensors'))) {
    throw new ModelError(
      'NO_MODEL',
      `Cannot share "${folder}": it has no model.safetensors and no adapter_model.safetensors: give the folder of a model`,
      { details: { folder } },
    );
  }
  const card = wanted.includes(CARD) ? readFileSync(join(folder, CARD), 'utf8') : null;
  const adapter = kind === 'adapter' ? readFileSync(join(folder, ADAPTER_SETTINGS), 'utf8') : null;
  const base = given ?? baseInCard(card) ?? baseOfAdapter(adapter);
  if (adapter !== null && base === null) {
    throw new ModelError(
      'BASE_UNNAMED',
      `Cannot share "${folder}": nobody else has the folder of its base model: name the base with --base owner/name`,
      { details: { folder } },
    );
  }
  const texts = new Map<string, string>();
  if (card !== null && base !== null && baseInCard(card) !== base) texts.set(CARD, cardWithBase(card, { base, kind }));
  if (adapter !== null && base !== null && baseOfAdapter(adapter) !== base)
    texts.set(ADAPTER_SETTINGS, adapterWithBase(adapter, base));
  const files = wanted.map((path): FileToPush => {
    const text = texts.get(path);
    return { path, content: text === undefined ? { kind: 'file', place: join(folder, path) } : { kind: 'text', text } };
  });
  const bytes = wanted.reduce((sum, path) => sum + statSync(join(folder, path)).size, 0);
  return { kind, files, bytes, base, licence: licenceOf(folder) };
}

/** The metadata above a card's text. */
const FRONT = /^---\r?\n([\s\S]*?)\r?\n---/;

function baseInCard(card: string | null): string | null {
  const base: unknown = parseDocument(FRONT.exec(card ?? '')?.[1] ?? '').get('base_model');
  return typeof base === 'string' && looksLikeHubName(base) ? base : null;
}

function baseOfAdapter(settings: string | null): string | null {
  const { base_model_name_or_path: base } = JSON.parse(settings ?? '{}') as Record<string, unknown>;
  // One that exists here as a folder is a path, whatever it looks like.
  return typeof base === 'string' && looksLikeHubName(base) && !existsSync(base) ? base : null;
}

function cardWithBase(card: string, { base, kind }: { base: string; kind: SharedModel['kind'] }): string {
  const front = FRONT.exec(card);
  if (front === null) return card;
  const metadata = parseDocument(front[1] ?? '');
  metadata.delete('base_folder');
  metadata.set('base_model', base);
  if (kind === 'adapter') metadata.set('base_model_relation', 'adapter');
  return `---\n${metadata.toString({ lineWidth: 0 }).trimEnd()}\n---${card.slice(front[0].length)}`;
}

function adapterWithBase(settings: string, base: string): string {
  const value = JSON.parse(settings) as Record<string, unknown>;
  return `${JSON.stringify({ ...value, base_model_name_or_path: base, revision: null }, null, 2)}\n`;
}
