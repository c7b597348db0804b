/**
 * @file What a user's module is made of: its source, every file that it imports by a relative path (esbuild follows them),
 * the packages that it imports by name and version, the files that it read while it was loaded, and those that its export
 * `files` names. A change of any of them makes it another ranker. Not seen: an import by a name that is computed, a file
 * that is read in a call and not named, what a program that it starts reads.
 */
import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync, type Metafile } from 'esbuild';
import { RankerError } from '../../errors.ts';
import { digestFileSync, sha256 } from '../../files/hash.ts';
import type { Source } from '../ranker.ts';

/** What a module told of the files that it uses. */
export interface UsedFiles {
  /** Paths that it opened while it was loaded. */
  read: readonly string[];
  /** Its export `files`, unchecked. */
  files: unknown;
}

/** Files and packages that a module is made of, its own source first, the others by name. RankerError RANKER_FILES. */
export function moduleSources(entry: string, { read, files }: UsedFiles): Source[] {
  const { imported, packages } = followImports(entry);
  const paths = new Set([...imported, ...read, ...namedFiles(entry, files)].map((path) => resolve(path)));
  paths.delete(entry);
  const others = [...paths].map((path) => sourceOf(path, nameFrom(dirname(entry), path)));
  const inOrder = (a: Source, b: Source): number => (`${a.name}\n${a.sha256}` < `${b.name}\n${b.sha256}` ? -1 : 1);
  return [sourceOf(entry, 'module'), ...[...others, ...packages].sort(inOrder)];
}

function sourceOf(path: string, name: string): Source {
  return { name, sha256: digestFileSync(path).sha256 };
}

/** One digest of all sources; of a module that is alone, that of its file. */
export function digestOfSources(sources: readonly Source[]): string {
  const [first] = sources;
  if (first !== undefined && sources.length === 1) return first.sha256;
  return sha256(sources.map((source) => `${source.name}\n${source.sha256}\n`).join(''));
}

/** A path from a folder, with slashes; of what lies outside, its last part: the same name wherever the project lies. */
function nameFrom(folder: string, path: string): string {
  const name = relative(folder, path).split(sep).join('/');
  return name.startsWith('../') ? basename(path) : name;
}

/** Everything that imports lead to. A module that esbuild cannot read is its own file alone: it has been loaded all the same. */
function followImports(entry: string): { imported: string[]; packages: Source[] } {
  const folder = dirname(entry);
  let inputs: Metafile['inputs'];
  try {
    inputs = buildSync({
      entryPoints: [entry],
      absWorkingDir: folder,
      bundle: true,
      write: false,
      metafile: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
      logLevel: 'silent',
      // Only which files there are is asked for: what is no source is not looked into.
      loader: { '.node': 'empty', '.wasm': 'empty', '.txt': 'empty', '.html': 'empty', '.css': 'empty' },
    }).metafile.inputs;
  } catch (error) {
    throw new RankerError(
      'RANKER_FILES',
      `Cannot find what the ranker module ${entry} imports: ${firstLine(error)}: import files by a relative path that is written out`,
      { cause: error, details: { module: entry } },
    );
  }
  const packages = new Map<string, Source>();
  for (const [file, { imports }] of Object.entries(inputs)) {
    for (const { path, external } of imports) {
      const found = external === true ? packageSource(path, dirname(resolve(folder, file))) : null;
      if (found !== null) packages.set(found.name, found);
    }
  }
  return { imported: Object.keys(inputs).map((file) => resolve(folder, file)), packages: [...packages.values()] };
}

/** A package by its name and version; null for what comes with Node and for selm itself, whose verdicts do not depend on it. */
function packageSource(specifier: string, from: string): Source | null {
  if (specifier.startsWith('node:') || builtinModules.includes(specifier)) return null;
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  if (name === 'selm') return null;
  for (let folder = from; ; folder = dirname(folder)) {
    const file = join(folder, 'node_modules', name, 'package.json');
    if (existsSync(file)) {
      const { version }: { version?: unknown } = JSON.parse(readFileSync(file, 'utf8'));
      return { name: `package ${name}`, sha256: sha256(`${name}@${String(version)}`) };
    }
    if (folder === dirname(folder)) return { name: `package ${name}`, sha256: sha256(name) };
  }
}

/** The paths of a module's export `files`, relative to the module's folder. */
function namedFiles(entry: string, files: unknown): string[] {
  if (!Array.isArray(files) || !files.every((file) => typeof file === 'string'))
    throw filesError(entry, 'is no list of paths', 'export const files = ["words.txt"], relative to the module');
  return files.map((file: string) => {
    const path = file.startsWith('file:') ? fileURLToPath(file) : resolve(dirname(entry), file);
    if (!existsSync(path)) throw filesError(entry, `names ${path}, and there is no such file`, 'correct the path');
    return path;
  });
}

function filesError(entry: string, problem: string, fix: string): RankerError {
  return new RankerError(
    'RANKER_FILES',
    `Cannot use the ranker module ${basename(entry)}: its export files ${problem}: ${fix}`,
    {
      details: { module: entry },
    },
  );
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n').slice(0, 2).join(' ').trim();
}
