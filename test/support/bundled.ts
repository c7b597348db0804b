/** @file Programs of the tests as one file each: a child that is started a thousand times must not compile the source each time. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { packageRoot } from '../../src/files/package-root.ts';

/** CommonJS packages in the bundle ask for Node's own modules by `require`. */
const REQUIRE =
  "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);";

/** Bundles programs of test/support by their names, and returns their paths. */
export async function bundled<Name extends string>(names: readonly Name[]): Promise<Record<Name, string>> {
  // Below the packages: what is native is not bundled, and found from there.
  const folder = mkdtempSync(join(packageRoot, 'build', 'bundled-'));
  await build({
    entryPoints: names.map((name) => fileURLToPath(new URL(`./${name}.ts`, import.meta.url))),
    outdir: folder,
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['better-sqlite3', 'esbuild'],
    banner: { js: REQUIRE },
    outExtension: { '.js': '.mjs' },
    logLevel: 'silent',
  });
  return Object.fromEntries(names.map((name) => [name, join(folder, `${name}.mjs`)])) as Record<Name, string>;
}
