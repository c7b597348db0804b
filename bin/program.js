// Starts modules of src/. TypeScript is not what Node runs, and translating some 500 files at each start takes a second: so
// the sources are bundled once (esbuild) into build/program/<state of the sources>/, by whoever needs them first. Change a
// file and the state is another. Where nothing can be written there, tsx translates file by file.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const ROOT = path.join(__dirname, '..');
const BUNDLES = path.join(ROOT, 'build', 'program');
/** What can be started: each is a file of its own in the bundle. */
const ENTRIES = {
  main: 'src/cli/main.ts',
  library: 'src/index.ts',
  'run-worker': 'src/loop/process/worker.ts',
  'bench-worker': 'src/exploration-bench/worker.ts',
};
/** Bundles of earlier sources go when they are this old: a run that started on one still loads parts of it. */
const KEPT_MS = 30 * 24 * 3_600_000;

/**
 * Imports one of ENTRIES by its name.
 * @param {keyof typeof ENTRIES} name
 * @returns {Promise<any>} its exports
 */
async function importProgram(name) {
  const bundle = await bundled();
  if (bundle !== null) return import(pathToFileURL(path.join(bundle, `${name}.js`)).href);
  const { tsImport } = await import('tsx/esm/api');
  // Our own compiler settings, not those of the folder that selm is called from.
  const tsconfig = path.join(ROOT, 'tsconfig.json');
  return tsImport(pathToFileURL(path.join(ROOT, ENTRIES[name])).href, {
    parentURL: pathToFileURL(__filename).href,
    tsconfig,
  });
}

/** The folder of the bundle of the sources as they are, made where it is missing; null where it cannot be made. */
async function bundled() {
  const folder = path.join(BUNDLES, stateOfSources());
  if (fs.existsSync(folder)) return folder;
  const unfinished = `${folder}.${process.pid}`;
  try {
    await bundleInto(unfinished);
    fs.renameSync(unfinished, folder);
    forgetOld();
    return folder;
  } catch {
    if (fs.existsSync(unfinished)) fs.rmSync(unfinished, { recursive: true, force: true });
    return fs.existsSync(folder) ? folder : null; // another process was first
  }
}

/** Changes with the name, size and time of every source, and with the packages that are bundled against. */
function stateOfSources() {
  const hash = crypto.createHash('sha256');
  const add = (/** @type {string} */ file) => {
    const { size, mtimeMs } = fs.statSync(file);
    hash.update(`${path.relative(ROOT, file)} ${size} ${mtimeMs}\n`);
  };
  for (const name of ['package.json', 'tsconfig.json', 'bin/program.js']) add(path.join(ROOT, name));
  const sources = fs.readdirSync(path.join(ROOT, 'src'), { recursive: true, withFileTypes: true });
  for (const entry of sources) {
    if (entry.isFile() && !entry.name.endsWith('.test.ts')) add(path.join(entry.parentPath ?? entry.path, entry.name));
  }
  return hash.digest('hex').slice(0, 16);
}

/** @param {string} folder */
async function bundleInto(folder) {
  const { build } = await import('esbuild');
  const entryPoints = Object.entries(ENTRIES).map(([out, file]) => ({ in: path.join(ROOT, file), out }));
  await build({
    entryPoints,
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: 'linked',
    tsconfig: path.join(ROOT, 'tsconfig.json'),
    logLevel: 'silent',
    define: { 'import.meta.url': 'placeOfSource' },
    plugins: [{ name: 'places', setup: keepPlaces }],
  });
}

/**
 * Files find their neighbours (prompts, assets, workers) by `import.meta.url`: it stays the place of the source.
 * @param {import('esbuild').PluginBuild} build
 */
function keepPlaces(build) {
  build.onLoad({ filter: /[/\\]src[/\\].*\.ts$/ }, ({ path: file }) => {
    const text = fs.readFileSync(file, 'utf8');
    if (!text.includes('import.meta.url')) return undefined;
    const place = JSON.stringify(pathToFileURL(file).href);
    return { contents: `const placeOfSource = ${place}; ${text}`, loader: 'ts' };
  });
}

function forgetOld() {
  for (const name of fs.readdirSync(BUNDLES)) {
    const folder = path.join(BUNDLES, name);
    if (Date.now() - fs.statSync(folder).mtimeMs > KEPT_MS) fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = { ENTRIES, importProgram };
