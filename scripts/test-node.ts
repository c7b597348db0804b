/**
 * @file Runs the tests under another version of Node: `npm run test:node -- 24 [arguments of vitest]`. That Node comes from npm
 * (the package `node`) and is kept in the cache folder. The last commit is cloned into a temporary folder, because packages with
 * native parts such as better-sqlite3 are built for one Node. The engine is shared: it speaks Node-API, which all versions know.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { sha256Folder } from '../src/files/hash.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { engineDirectory, nativeSources, readEngineRecord } from '../src/torch/native.ts';

function run(program: string, args: readonly string[], options: { cwd: string; env?: NodeJS.ProcessEnv }): void {
  const { status } = spawnSync(program, args, { stdio: 'inherit', ...options });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${String(status)}`);
}

/** The folder with bin/ and include/ of a Node of that major version, fetched where it is not there yet. */
function nodeFolder(major: string): string {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'selm', `node-${major}`);
  const platform = `node-${process.platform}-${process.arch}`;
  const folders = [['node', 'node_modules', platform], [platform]].map((parts) =>
    join(cache, 'node_modules', ...parts),
  );
  const found = () => folders.find((folder) => existsSync(join(folder, 'bin', 'node')));
  if (found() === undefined) {
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(cache, 'package.json'), JSON.stringify({ name: 'selm-node', private: true }));
    run('npm', ['install', '--silent', `node@${major}`], { cwd: cache });
  }
  const folder = found();
  if (folder === undefined) throw new Error(`npm's package node@${major} has no program for ${platform}`);
  return folder;
}

const [major = '', ...args] = process.argv.slice(2);
if (!/^\d+$/.test(major)) throw new Error('Which Node? Allowed is a major version: npm run test:node -- 24');
const changed = spawnSync('git', ['status', '--porcelain', '--', 'native'], {
  cwd: packageRoot,
  encoding: 'utf8',
}).stdout;
if (changed !== '')
  throw new Error(`The clone would build another engine than yours: commit native/ first:\n${changed}`);
if (readEngineRecord()?.sourcesSha256 !== sha256Folder(nativeSources))
  throw new Error('The clone would build your engine anew: run npm run setup first');
const node = nodeFolder(major);
const clone = mkdtempSync(join(tmpdir(), `selm-node-${major}-`));
const env = {
  ...process.env,
  PATH: [join(node, 'bin'), process.env.PATH].join(delimiter),
  // Headers for packages that are compiled: without them node-gyp would fetch some.
  npm_config_nodedir: node,
  SELM_ENGINE: engineDirectory,
};
try {
  run('git', ['clone', '--quiet', packageRoot, clone], { cwd: tmpdir() });
  run('node', ['--version'], { cwd: clone, env });
  run('node', [join('scripts', 'setup.mjs')], { cwd: clone, env });
  run('node', [join('scripts', 'test.mjs'), ...args], { cwd: clone, env });
} finally {
  rmSync(clone, { recursive: true, force: true });
}
