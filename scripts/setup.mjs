/**
 * @file Makes a clone ready: Node, tools, npm packages, LibTorch, the engine, the studio's pages. Plain Node, because it
 * runs before `npm ci`; run it as often as you like: `node scripts/setup.mjs`. What is there is left alone.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** What compiling needs; src/engine says the same in more detail, but cannot run before `npm ci`. */
const TOOLS = [
  { name: 'python3', programs: ['python3'], apt: 'python3', dnf: 'python3' },
  { name: 'cmake', programs: ['cmake'], apt: 'cmake', dnf: 'cmake' },
  { name: 'a C++20 compiler', programs: [process.env.CXX || 'g++', 'clang++', 'c++'], apt: 'g++', dnf: 'gcc-c++' },
  { name: 'ninja or make', programs: ['ninja', 'make'], apt: 'ninja-build', dnf: 'ninja-build' },
];

function onPath(program) {
  const folders = program.includes('/') ? [''] : (process.env.PATH ?? '').split(delimiter);
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function stop(...lines) {
  for (const line of lines) console.error(line);
  // `npm test` promises one last line of counts, also when it does not get as far as a test.
  if (process.env.npm_lifecycle_event === 'test') console.log('0 passed, 1 failed');
  process.exit(1);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  stop(`Cannot set up on Node ${process.versions.node}: 20.19 or newer is needed: see https://nodejs.org`);
}

function checkTools() {
  const engine = join(process.env.SELM_ENGINE ?? join(root, 'build', 'native'), 'engine.json');
  if (existsSync(engine)) return;
  const missing = TOOLS.filter((tool) => !tool.programs.some(onPath));
  const pip = () => spawnSync('python3', ['-m', 'pip', '--version']).status === 0;
  // A LibTorch that the user names needs no pip.
  if (!process.env.LIBTORCH && onPath('python3') && !pip()) {
    missing.push({ name: 'pip for python3', apt: 'python3-pip', dnf: 'python3-pip' });
  }
  if (missing.length === 0) return;
  const list = (key) => missing.map((tool) => tool[key]).join(' ');
  stop(
    `Cannot build the engine: not found: ${missing.map((tool) => tool.name).join(', ')}`,
    `  Debian, Ubuntu: sudo apt-get install ${list('apt')}`,
    `  Fedora, RHEL:   sudo dnf install ${list('dnf')}`,
  );
}

function installPackages() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  const lock = join(root, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  console.error(
    'Installing npm packages (npm ci; minutes where better-sqlite3 has no binary for this Node and is compiled)',
  );
  // The level is given because `npm test --silent` would hand its silence down, errors included.
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status } = spawnSync('npm', args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) stop('Cannot set up: `npm ci` failed: its output is above');
}

async function installEngine() {
  // tsx is there only now.
  const { register } = await import('tsx/esm/api');
  register({ tsconfig: join(root, 'tsconfig.json') });
  const engine = await import(pathToFileURL(join(root, 'src', 'engine', 'install.ts')).href);
  const { record } = await engine.installEngine({ log: (line) => console.error(line) });
  console.error(`Ready: LibTorch ${record.libtorchVersion} in ${record.libtorchDirectory}`);
}

/** The pages of `selm studio`, from web/. */
async function bundleStudio() {
  const assets = await import(pathToFileURL(join(root, 'src', 'server', 'assets.ts')).href);
  await assets.buildStudio();
}

checkNode();
checkTools();
installPackages();
try {
  await installEngine();
  await bundleStudio();
} catch (error) {
  const known = error instanceof Error && 'code' in error;
  stop(
    known ? `${error.message}\n  (${error.code}; \`node bin/selm doctor\` tells more)` : String(error?.stack ?? error),
  );
}
