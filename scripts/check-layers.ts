/**
 * @file Checks that imports in src/ point downward (the order is in `LAYERS`), that neither folders nor files import each other in
 * a circle, and that the native addon is touched by few. Run: `npm run check`; a test runs it too.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folders (and single files) of src/, from the bottom up. A folder may import its own row and those below. */
export const LAYERS: readonly (readonly string[])[] = [
  ['errors', 'random', 'python-random'],
  ['files', 'torch', 'engine', 'hub'],
  ['ranks'],
  ['model', 'shard', 'text', 'data', 'objective', 'select', 'recipe'],
  ['score', 'sample', 'rank', 'evaluate', 'export'],
  ['train', 'store', 'arena'],
  ['report', 'track'],
  ['loop', 'server'],
  ['forecast'],
  ['api', 'sweep', 'exploration-bench'],
  ['cli', 'index'],
];

/** What may be imported where the row alone would allow more. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  objective: ['errors'],
  engine: ['errors', 'files', 'torch'],
  hub: ['errors', 'files'],
};

/** What may not be imported where the row would allow it. */
const NEVER: Readonly<Record<string, readonly string[]>> = {
  store: ['train', 'score', 'sample'],
  report: ['train', 'score', 'sample'],
  server: ['loop', 'train'],
};

/** The file that loads the addon, and the folders that may import functions of it (its paths and threads are anyone's). */
const NATIVE_FILE = 'torch/native.ts';
/** Files of torch/ that work without an engine, for the folder that builds it. */
const FOR_ENGINE: readonly string[] = [NATIVE_FILE, 'torch/gpus.ts', 'torch/cuda-problems.ts'];
const NATIVE_NAMES = ['native', 'Native', 'Handle', 'NativeValue'];
const NATIVE_FOLDERS = ['torch', 'engine'];

/** A file of src/, by its path in src/ with slashes. */
export interface SourceFile {
  path: string;
  text: string;
}

interface Import {
  from: string;
  to: string;
  names: string[];
}

/** Every import against the rules, as a sentence; empty when there is none. */
export function layerProblems(files: readonly SourceFile[]): string[] {
  const imports = files.flatMap(importsOf);
  return [...imports.flatMap(importProblems), ...circles(imports)];
}

/** The program's own files below a src/ folder: no tests, no helpers of tests. */
export function readSources(root: string): SourceFile[] {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).map((name) => name.split(sep).join('/'));
  const sources = names.filter((name) => name.endsWith('.ts') && !/\.(test|testing)\.ts$/.test(name)).sort();
  return sources.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

function importsOf({ path, text }: SourceFile): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const statements = code.matchAll(/\b(?:import|export)\s+(?:type\s+)?([^'"();]*?)\s*from\s*['"](\.[^'"]+)['"]/g);
  const others = code.matchAll(/\bimport\s*\(?\s*()['"](\.[^'"]+)['"]/g);
  return [...statements, ...others].map(([, names = '', target = '']) => ({
    from: path,
    to: normalize(join(dirname(path), target))
      .split(sep)
      .join('/'),
    names: names
      .replace(/[{}]/g, ',')
      .split(',')
      .map(
        (name) =>
          name
            .trim()
            .replace(/^type\s+/, '')
            .split(/\s+as\s+/)[0] ?? '',
      ),
  }));
}

/** Folder of src/ that a file belongs to; a file of src/ itself is its own. */
function folderOf(path: string): string {
  return path.split('/')[0]?.replace(/\.ts$/, '') ?? '';
}

function rowOf(folder: string): number {
  return LAYERS.findIndex((row) => row.includes(folder));
}

function importProblems({ from, to, names }: Import): string[] {
  const [folder, target] = [folderOf(from), folderOf(to)];
  const problem = (reason: string) => [`src/${from} imports src/${to}: ${reason}`];
  if (to.startsWith('..')) return problem('the program may not depend on files outside src/');
  for (const each of [folder, target]) if (rowOf(each) < 0) return problem(`"${each}" has no place in LAYERS`);
  if (to === NATIVE_FILE && !NATIVE_FOLDERS.includes(folder)) {
    const touched = names.filter((name) => NATIVE_NAMES.includes(name));
    if (touched.length > 0)
      return problem(`${touched.join(', ')}: the addon is for ${NATIVE_FOLDERS.join('/ and ')}/ only`);
  }
  if (folder === target) return [];
  if (rowOf(target) > rowOf(folder)) return problem(`${target}/ lies above ${folder}/`);
  if (ONLY[folder] !== undefined && !ONLY[folder].includes(target))
    return problem(`${folder}/ may import ${ONLY[folder].join(', ')} only`);
  if (folder === 'engine' && target === 'torch' && !FOR_ENGINE.includes(to))
    return problem(`of torch/ it may import ${FOR_ENGINE.map((path) => path.slice('torch/'.length)).join(', ')} only`);
  if (NEVER[folder]?.includes(target)) return problem(`${folder}/ never imports ${target}/`);
  return [];
}

/** Folders, and files of one folder, that import each other in a circle, types included: the rows do not forbid it. */
function circles(imports: readonly Import[]): string[] {
  const folders = inCircles(imports.map(({ from, to }) => [folderOf(from), folderOf(to)]));
  const files = inCircles(imports.map(({ from, to }) => [from, to]));
  return [
    ...(folders.length === 0 ? [] : [`Folders import each other in a circle: ${folders.join(', ')}`]),
    ...(folders.length > 0 || files.length === 0 ? [] : [`Files import each other in a circle: ${files.join(', ')}`]),
  ];
}

/** The names that are part of a circle, or lie between two. */
function inCircles(pairs: readonly (readonly [from: string, to: string])[]): string[] {
  const edges = new Map<string, Set<string>>();
  for (const [from, to] of pairs) if (from !== to) edges.set(from, (edges.get(from) ?? new Set()).add(to));
  for (;;) {
    const imported = new Set([...edges.values()].flatMap((targets) => [...targets]));
    const outside = [...edges].filter(
      ([name, targets]) => !imported.has(name) || ![...targets].some((target) => edges.has(target)),
    );
    if (outside.length === 0) return [...edges.keys()].sort();
    for (const [name] of outside) edges.delete(name);
  }
}

const invoked = process.argv[1];
if (invoked !== undefined && fileURLToPath(import.meta.url) === invoked) {
  const problems = layerProblems(readSources(join(dirname(invoked), '..', 'src')));
  for (const problem of problems) console.error(problem);
  console.log(problems.length === 0 ? 'Imports point downward' : `${problems.length} imports against the layers`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
