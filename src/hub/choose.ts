/** @file Which files of a repository are wanted: those of a model, or a split of a data set. Pure. */

/** Settings, tokenizer and template of a model, and its card, which names its licence; all lie in the repository's root. */
const MODEL_SETTINGS = /^([^/]+\.(json|jinja|model|txt)|README\.md)$/;
const INDEX = 'model.safetensors.index.json';
const DATA = /\.(parquet|(jsonl|ndjson|csv)(\.(gz|zst))?|json)$/;

/** Files of a model that are read. Weights in other formats (.bin, .gguf, a second copy by parts) are left out. */
export function modelFiles(paths: readonly string[]): string[] {
  const weights = paths.includes(INDEX)
    ? paths.filter((path) => /^model-\d+-of-\d+\.safetensors$/.test(path))
    : paths.filter((path) => path === 'model.safetensors');
  const adapter = paths.filter((path) => path === 'adapter_model.safetensors');
  return [...paths.filter((path) => MODEL_SETTINGS.test(path)), ...weights, ...adapter].sort();
}

/** Whether a choice of files can be a model. */
export function hasWeights(paths: readonly string[]): boolean {
  return paths.some((path) => path.endsWith('.safetensors'));
}

/** Files of a data set that `part` means: a path, a pattern with `*`, or a split; in order of their names. */
export function dataFiles(paths: readonly string[], part: string): string[] {
  if (paths.includes(part)) return [part];
  if (part.includes('*')) {
    const pattern = new RegExp(`^${part.split('*').map(escaped).join('[^/]*')}$`);
    return paths.filter((path) => pattern.test(path)).sort();
  }
  return paths.filter((path) => splitOf(path) === part).sort();
}

/** Splits of a data set by the names of its files, for a message. */
export function splits(paths: readonly string[]): string[] {
  return [...new Set(paths.flatMap((path) => splitOf(path) ?? []))].sort();
}

/**
 * The split that a data file belongs to, as the Hub names them: `data/train_prefs-00000-of-00001.parquet`, also with a hash
 * behind, `train.jsonl`, `train/0000.parquet`.
 */
function splitOf(path: string): string | null {
  if (!DATA.test(path) || /(^|\/)dataset_infos?\.json$/.test(path)) return null;
  const segments = path.split('/');
  const base = (segments.pop() ?? '').replace(DATA, '').replace(/-\d{5}-of-\d{5}(-[0-9a-f]+)?$/, '');
  return /^\d+$/.test(base) ? (segments.at(-1) ?? null) : base;
}

/** Parts that are numbered `-00001-of-00003` and of which one is not there, by name. */
export function missingParts(paths: readonly string[]): string[] {
  const missing = paths.flatMap((path) => {
    const parts = /^(.*-)(\d{5})(-of-)(\d{5})(.*)$/.exec(path);
    if (parts === null) return [];
    const [, before = '', , of = '', count = '0', after = ''] = parts;
    // A hash behind the number differs from part to part: those are only counted.
    const number = (i: number): string => String(i).padStart(5, '0');
    const first = path.endsWith('.safetensors') ? 1 : 0;
    const names = Array.from({ length: Number(count) }, (_, i) => `${before}${number(i + first)}${of}${count}`);
    return names.filter((name) => !paths.some((each) => each.startsWith(name))).map((name) => `${name}${after}`);
  });
  return [...new Set(missing)];
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
