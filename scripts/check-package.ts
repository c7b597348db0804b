/**
 * @file Installs the package as its users do, and uses it: `npm pack`, an empty project elsewhere, `npx selm`, a small training,
 * `import` in JavaScript (ESM, and CommonJS by import()) and with types in TypeScript. Run: `tsx scripts/check-package.ts`. The
 * training uses the engine of this clone; with `--engine` the project builds its own (minutes).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const withEngine = process.argv.includes('--engine');
const folder = mkdtempSync(join(tmpdir(), 'selm-package-'));
const project = join(folder, 'project');

/** Runs a program and gives what it printed. What fails ends the check with its output. */
function run(what: string, program: string, args: readonly string[], cwd = project): string {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${what} fails (${String(status)}):\n${stdout}${stderr}`);
  console.log(`ok: ${what}`);
  return stdout;
}

function expectText(text: string, part: string): void {
  if (!text.includes(part)) throw new Error(`Expected "${part}" in:\n${text}`);
}

const SCRIPT = `import { parseArgs } from 'node:util';
import { RecipeError, recipeJsonSchema, train } from 'selm';
parseArgs({ args: [] });
if (recipeJsonSchema().type !== 'object') throw new Error('no schema');
try {
  await train({ name: 'x' }).result;
} catch (error) {
  if (!(error instanceof RecipeError) || error.code !== 'RECIPE_INVALID') throw error;
  console.log('refused as it should be');
}
`;

/** CommonJS is told what to write instead, and that works. */
const COMMONJS = `try {
  require('selm');
} catch (error) {
  if (error.code !== 'REQUIRE_NOT_SUPPORTED') throw error;
  import('selm').then(({ recipeJsonSchema }) => console.log(typeof recipeJsonSchema));
}
`;

/** Uses types: a wrong setting is an error of the compiler. */
const TYPED = `import { type RecipeInput, train, type Training } from 'selm';

const recipe: RecipeInput = {
  name: 'typed',
  model: 'model',
  data: { train: 'rows.jsonl' },
  ranker: { kind: 'function', module: 'reward.ts' },
  objective: { preference: { kind: 'dpo' }, exploration: { kind: 'none' } },
  training: { learningRate: 1e-6 },
};
// @ts-expect-error: no such kind of loss
const wrong: RecipeInput = { ...recipe, objective: { preference: { kind: 'dop' }, exploration: { kind: 'none' } } };

export function start(): Training<{ modelPath: string }> {
  void wrong;
  return train(recipe);
}
`;

/** A training of seconds with trackers that write files, on the model that the package brings. */
const RECIPE = `name: small
seed: 1
model: node_modules/selm/assets/stories260K
data: { train: prompts.jsonl }
iterations: 1
ranker: { kind: function, module: reward.ts }
sampling: { samples: 2, temperature: 1, maxNewTokens: 8 }
text: { maxLength: 64, maxPromptLength: 32 }
objective: { preference: { kind: dpo }, exploration: { kind: selm, alpha: 0.001 } }
training: { learningRate: 1e-5, batchSize: 2 }
track: [tensorboard, wandb]
`;

const REWARD = `export function reward(_prompt: string, responses: string[]): number[] {
  return responses.map((response) => response.length);
}
`;

const TSCONFIG = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2024', 'esnext.disposable'],
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    types: ['node'],
  },
  files: ['typed.ts'],
};

try {
  mkdirSync(project);
  run('npm pack', 'npm', ['pack', '--silent', '--pack-destination', folder], root);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  if (tarball === undefined) throw new Error('npm pack left no package');
  console.log(`    ${tarball}: ${(statSync(join(folder, tarball)).size / 1e6).toFixed(1)} MB`);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'empty', private: true, type: 'module' }));
  const quiet = ['--silent', '--no-audit', '--no-fund'];
  run('npm install in an empty project', 'npm', ['install', ...quiet, join(folder, tarball)]);
  run('typescript beside it', 'npm', ['install', ...quiet, '--save-dev', 'typescript@5', '@types/node@20']);

  expectText(run('npx selm --help', 'npx', ['selm', '--help']), 'train');
  run('npx selm --version', 'npx', ['selm', '--version']);
  writeFileSync(join(project, 'rows.jsonl'), '{"prompt":"Hi","chosen":"Hello.","rejected":"What?"}\n');
  expectText(run('npx selm data audit', 'npx', ['selm', 'data', 'audit', 'rows.jsonl']), '1 used');
  writeFileSync(join(project, 'dpo.yaml'), 'model_name_or_path: a/b\ndataset_name: c/d\n');
  run('npx selm import trl', 'npx', ['selm', 'import', 'trl', 'dpo.yaml', '-o', 'imported.yaml']);

  writeFileSync(join(project, 'script.mjs'), SCRIPT);
  expectText(run('import in JavaScript', process.execPath, ['script.mjs']), 'refused as it should be');
  writeFileSync(join(project, 'script.cjs'), COMMONJS);
  expectText(run('import() in CommonJS', process.execPath, ['script.cjs']), 'function');
  writeFileSync(join(project, 'typed.ts'), TYPED);
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(TSCONFIG));
  run('import in TypeScript, types checked', 'npx', ['tsc', '-p', '.']);

  if (withEngine) run('npx selm engine install', 'npx', ['selm', 'engine', 'install']);
  else process.env.SELM_ENGINE = join(root, 'build', 'native');
  writeFileSync(join(project, 'small.yaml'), RECIPE);
  writeFileSync(join(project, 'reward.ts'), REWARD);
  const prompts = ['Tom saw a dog.', 'Lily went out.', 'Ben had a ball.', 'Mia sang.'];
  writeFileSync(join(project, 'prompts.jsonl'), prompts.map((prompt) => `${JSON.stringify({ prompt })}\n`).join(''));
  run('npx selm train', 'npx', ['selm', 'train', 'small.yaml']);
  const made = join('runs', 'small', 'iteration-1', 'model');
  for (const part of [made, 'runs/small/wandb', 'runs/small/tensorboard'])
    if (!existsSync(join(project, part))) throw new Error(`The training left no ${part}`);
  expectText(run('npx selm generate', 'npx', ['selm', 'generate', made, '--prompt', 'Tom saw']), '.');
  process.env.HF_TOKEN = 'hf_none';
  const push = ['selm', 'push', 'small', 'owner/name', '--dry-run'];
  expectText(run('npx selm push --dry-run', 'npx', push), 'model.safetensors');
  console.log('The package works in an empty project');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
