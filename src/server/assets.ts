/**
 * @file The studio's pages: web/ bundled by esbuild into build/studio. The set-up does that; where the sources are newer, or
 * nothing is there, it is done when the studio starts. It takes a fraction of a second and no network.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { sha256 } from '../files/hash.ts';
import { packageRoot } from '../files/package-root.ts';

/** A file of the pages. */
export interface Asset {
  type: string;
  content: Uint8Array<ArrayBuffer>;
}

const SOURCES = join(packageRoot, 'web');
const BUILT = join(packageRoot, 'build', 'studio');
const FILES = [
  { path: '/', name: 'index.html', type: 'text/html; charset=utf-8' },
  { path: '/studio.js', name: 'studio.js', type: 'text/javascript; charset=utf-8' },
  { path: '/studio.css', name: 'studio.css', type: 'text/css; charset=utf-8' },
  { path: '/icon.svg', name: 'icon.svg', type: 'image/svg+xml' },
];

/** The pages by their paths, bundled where they are not yet. */
export async function studioAssets(): Promise<ReadonlyMap<string, Asset>> {
  await buildStudio();
  return new Map(
    FILES.map(({ path, name, type }) => [path, { type, content: new Uint8Array(readFileSync(join(BUILT, name))) }]),
  );
}

/** Bundles the pages into build/studio, unless what is there was made of the same sources. */
export async function buildStudio(): Promise<void> {
  const made = sourcesHash();
  if (builtHash() === made) return;
  mkdirSync(BUILT, { recursive: true });
  await build({
    entryPoints: [join(SOURCES, 'studio.tsx'), join(SOURCES, 'studio.css')],
    outdir: BUILT,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    logLevel: 'silent',
  });
  for (const name of ['index.html', 'icon.svg']) writeFileSync(join(BUILT, name), readFileSync(join(SOURCES, name)));
  // Last: what was bundled half is bundled again.
  writeFileSync(join(BUILT, 'sources.sha256'), made);
}

/** Of every source of the pages, and of the versions that go into them. */
function sourcesHash(): string {
  const names = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).sort();
  const files = names.filter((name) => /\.(tsx?|css|html|svg)$/.test(name));
  const texts = files.map((name) => `${name}\n${readFileSync(join(SOURCES, name), 'utf8')}`);
  return sha256([readFileSync(join(packageRoot, 'package.json'), 'utf8'), ...texts].join('\n'));
}

function builtHash(): string | null {
  try {
    return readFileSync(join(BUILT, 'sources.sha256'), 'utf8');
  } catch {
    return null; // nothing was bundled yet
  }
}
