/** @file The documentation says what the program does: pages made from the source are fresh, commands parse, links lead somewhere. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { errorCodes, errorsPage } from '../scripts/error-docs.ts';
import { scalePage } from '../scripts/scale-docs.ts';
import { settingsPage } from '../scripts/settings-docs.ts';
import { programFor, withDescendants } from '../src/cli/program.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { recipeSchema } from '../src/recipe/schema.ts';
import { sftRecipeSchema } from '../src/recipe/sft.ts';
import { sweepSchema } from '../src/recipe/sweep.ts';

const docs = join(packageRoot, 'docs');
const pages = readdirSync(docs, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .map((name) => join(docs, name));
const top = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'FEATURES.md', 'CHANGELOG.md'];
const all = [...top.map((name) => join(packageRoot, name)), ...pages].map((path) => ({
  path,
  name: relative(packageRoot, path),
  text: readFileSync(path, 'utf8'),
}));

const FENCED = /^```(\w*)\n([\s\S]*?)^```/gm;

/** Blocks of code of all pages in one language; '' is what a program printed. */
function blocks(language: string): { name: string; code: string }[] {
  return all.flatMap(({ name, text }) =>
    [...text.matchAll(FENCED)].filter(([, found]) => found === language).map(([, , code = '']) => ({ name, code })),
  );
}

/** Command lines of a page: its shell blocks, and what is indented by four spaces outside of any block. */
function commandLines({ name, text }: { name: string; text: string }): { name: string; line: string }[] {
  const shell = [...text.matchAll(FENCED)].filter(([, language]) => language === 'sh').map(([, , code = '']) => code);
  const indented = [...text.replace(FENCED, '').matchAll(/^ {4}(\S.*)$/gm)].map(([, line = '']) => line);
  return [...shell, indented.join('\n')]
    .join('\n')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => /^(npx |bin\/)?selm\s/.test(line))
    .map((line) => ({ name, line }));
}

type Settings = { [key: string]: unknown };

/** Recipes that the settings of a page are put into. */
const RECIPE: Settings = {
  name: 'page',
  model: 'model',
  data: { train: 'rows.jsonl' },
  iterations: 3,
  ranker: { kind: 'function', module: 'reward.ts' },
  objective: { preference: { kind: 'dpo' }, exploration: { kind: 'none' } },
  training: { learningRate: 1e-6 },
};
const SFT_RECIPE: Settings = {
  name: 'page',
  model: 'model',
  data: { train: 'rows.jsonl' },
  training: { learningRate: 1e-6 },
};

/** A recipe with some settings replaced, section by section; a section with a `kind` is replaced whole. */
function merged(recipe: Settings, settings: Settings): Settings {
  const isSection = (value: unknown): value is Settings =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const entries = Object.entries(settings).map(([key, value]) => {
    const before = recipe[key];
    return [key, isSection(value) && isSection(before) && !('kind' in value) ? merged(before, value) : value];
  });
  return { ...recipe, ...Object.fromEntries(entries) };
}

describe('pages made from the source', () => {
  it('settings.md has every setting as the schema has it (npm run docs)', () => {
    expect(readFileSync(join(docs, 'settings.md'), 'utf8')).toBe(settingsPage());
  });

  it('errors.md has every error code of the source (npm run docs)', () => {
    expect(readFileSync(join(docs, 'errors.md'), 'utf8')).toBe(errorsPage());
    expect(errorCodes().length).toBeGreaterThan(100);
  });

  it('scale.md has the table of many GPUs as the cost model has it (npm run docs)', () => {
    const page = readFileSync(join(docs, 'scale.md'), 'utf8');
    expect(page).toContain('<!-- table');
    expect(scalePage(page)).toBe(page);
  });
});

describe('pages written by hand', () => {
  it.each(all)('every link of $name leads to a file', ({ path, text }) => {
    const links = [...text.replace(/```[\s\S]*?```/g, '').matchAll(/\]\(([^)\s]+)\)/g)].map(
      ([, target = '']) => target,
    );
    const local = links.filter((target) => !/^(https?:|mailto:|#)/.test(target));
    const missing = local.filter((target) => !existsSync(join(dirname(path), target.replace(/#.*$/, ''))));
    expect(missing).toEqual([]);
  });

  it('the index names every page', () => {
    const index = readFileSync(join(docs, 'README.md'), 'utf8');
    const named = readdirSync(docs).filter((name) => name.endsWith('.md') && name !== 'README.md');
    expect(named.filter((name) => !index.includes(`(${name})`))).toEqual([]);
  });

  it('troubleshooting names codes that exist', () => {
    const known = new Set(errorCodes().map(({ code }) => code));
    const page = readFileSync(join(docs, 'troubleshooting.md'), 'utf8');
    const named = [...page.matchAll(/`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`/g)].map(([, code = '']) => code);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((code) => !known.has(code))).toEqual([]);
  });

  it('every block of code is in a language that a test below reads, a picture, or what a program printed', () => {
    const languages = all.flatMap(({ text }) => [...text.matchAll(FENCED)].map(([, language = '']) => language));
    expect([...new Set(languages)].sort()).toEqual(['', 'json', 'mermaid', 'sh', 'ts', 'yaml']);
  });

  const commands = all.flatMap(commandLines);

  it('the pages have commands to check', () => expect(commands.length).toBeGreaterThan(60));

  it.each(commands)('the command line of $name is one that selm takes: $line', async ({ line }) => {
    const words = [...(line.split(/\s[|>]\s/)[0]?.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g) ?? [])];
    const args = words
      .map(([, double, single, plain]) => double ?? single ?? plain ?? '')
      .slice(line.startsWith('npx') ? 2 : 1);
    const program = await programFor(args, { usage: 'silent' });
    let ran = false;
    for (const command of withDescendants(program)) {
      command.action(() => {
        ran = true;
      });
    }
    program.parse(args, { from: 'user' });
    expect(ran).toBe(true);
  });

  it('the TypeScript of the pages compiles against the library', () => {
    const examples = blocks('ts').filter(({ name }) => name !== 'docs/api.md'); // declarations of the compiler itself
    expect(examples.length).toBeGreaterThan(1);
    const folder = mkdtempSync(join(packageRoot, 'build', 'docs-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    // What an example takes from around it.
    const before =
      'declare const signal: AbortSignal;\ndeclare function kindness(text: string): number;\ndeclare function guard(text: string): number;\n';
    examples.forEach(({ code }, index) => {
      const source = code.replaceAll("from 'selm'", `from '${join(packageRoot, 'src', 'index.ts')}'`);
      writeFileSync(join(folder, `example-${index}.ts`), `${before}${source}\nexport {};\n`);
    });
    const config = { extends: join(packageRoot, 'tsconfig.json'), include: ['*.ts'] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
    const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });

  it('every JSON of the pages is JSON, line by line', () => {
    const lines = blocks('json').flatMap(({ code }) => code.trim().split('\n'));
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) expect(JSON.parse(line)).toBeInstanceOf(Object);
  });

  const recipes = blocks('yaml').filter(({ code }) => !/^# \S+: a prompt file\n/.test(code));

  it.each(recipes)('a recipe takes the settings of $name, keys and values', ({ code }) => {
    const settings = parse(code.replaceAll('...', 'https://example.com')) as Settings;
    const results = [
      recipeSchema.safeParse(merged(RECIPE, settings)),
      sftRecipeSchema.safeParse(merged(SFT_RECIPE, settings)),
      sweepSchema.safeParse(settings),
    ];
    const problems = results.map(({ error }) =>
      error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`),
    );
    expect(problems).toContain(undefined);
  });
});
