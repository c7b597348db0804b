/**
 * @file Format and lint of native/: `npm run check:native`; `-- --write` formats, `-- --tidy` also looks for mistakes (clang-tidy,
 * minutes). The tools are Python wheels in fixed versions, in a folder of the cache: another version would format otherwise.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { packageRoot } from '../src/files/package-root.ts';
import { readEngineRecord } from '../src/torch/native.ts';

const TOOLS = { 'clang-format': '23.1.5', 'clang-tidy': '23.1.4' } as const;

function run(program: string, args: readonly string[]): number {
  const { status } = spawnSync(program, args, { cwd: packageRoot, stdio: ['ignore', 'inherit', 'inherit'] });
  return status ?? 1;
}

/** Where the program of a wheel lies, which is installed first where it is not there yet. */
function toolPath(name: keyof typeof TOOLS): string {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'selm');
  const folder = join(cache, `${name}-${TOOLS[name]}`);
  const program = join(folder, 'bin', name);
  if (existsSync(program)) return program;
  const steps = [
    ['python3', '-m', 'venv', folder],
    [join(folder, 'bin', 'pip'), 'install', '--quiet', `${name}==${TOOLS[name]}`],
  ];
  for (const [step = '', ...args] of steps)
    if (run(step, args) !== 0) throw new Error(`Cannot install ${name} ${TOOLS[name]} in ${folder}: see above`);
  return program;
}

const options = new Set(process.argv.slice(2));
const list = spawnSync('git', ['ls-files', 'native/*.cc', 'native/*.h'], { cwd: packageRoot, encoding: 'utf8' });
const files = list.stdout.split('\n').filter((file) => file !== '');
const how = options.has('--write') ? ['-i'] : ['--dry-run', '--Werror'];
let failed = run(toolPath('clang-format'), [...how, ...files]) !== 0;

if (options.has('--tidy')) {
  const libtorch = readEngineRecord()?.libtorchDirectory;
  if (libtorch === undefined) throw new Error('No engine is built: run npm run setup first');
  const headers = join(dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include');
  // CMake writes down how each file is compiled, which clang-tidy reads. GCC's own switches are unknown to it.
  const folder = mkdtempSync(join(tmpdir(), 'selm-tidy-'));
  try {
    const settings = [
      `-DSELM_LIBTORCH=${libtorch}`,
      `-DSELM_NODE_API=${headers}`,
      '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON',
    ];
    const cmake = ['-S', 'native', '-B', folder, ...settings];
    if (run('cmake', ['--log-level=ERROR', ...cmake]) !== 0) throw new Error('cmake fails: see above');
    const sources = files.filter((file) => file.endsWith('.cc'));
    // omp.h comes with GCC, and is looked for last: GCC's other headers are not clang's.
    const gcc = spawnSync('g++', ['-print-file-name=include'], { encoding: 'utf8' }).stdout.trim();
    const extra = ['-Wno-unknown-warning-option', '-idirafter', gcc].map((argument) => `--extra-arg=${argument}`);
    const tidy = ['--quiet', '-p', folder, ...extra, ...sources];
    failed = run(toolPath('clang-tidy'), tidy) !== 0 || failed;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
process.exitCode = failed ? 1 : 0;
