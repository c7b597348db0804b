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
import { recipeKeys } from '../src/recipe/schema.ts';
import { sftRecipeKeys } from '../src/recipe/sft.ts';
import { sweepKeys } from '../src/recipe/sweep.ts';

const docs = join(packageRoot, 'docs');
const pages = readdirSync(docs, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .map((name) => join(docs, name));
const all = [join(packageRoot, 'README.md'), ...pages].map((path) => ({
  path,
  name: relative(packageRoot, path),
  text: readFileSync(path, 'utf8'),
}));

/** Blocks of code of all pages in one language. */
function blocks(language: string): { name: string; code: string }[] {
  return all.flatMap(({ name, text }) =>
    [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```/gm)]
      .filter(([, found]) => found === language)
      .map(([, , code = '']) => ({ name, code })),
  );
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
    const top = readdirSync(docs).filter((name) => name.endsWith('.md') && name !== 'README.md');
    expect(top.filter((name) => !index.includes(`(${name})`))).toEqual([]);
  });

  it('troubleshooting names codes that exist', () => {
    const known = new Set(errorCodes().map(({ code }) => code));
    const page = readFileSync(join(docs, 'troubleshooting.md'), 'utf8');
    const named = [...page.matchAll(/`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`/g)].map(([, code = '']) => code);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((code) => !known.has(code))).toEqual([]);
  });

  const commands = blocks('sh').flatMap(({ name, code }) =>
    code
      .replaceAll('\\\n', ' ')
      .split('\n')
      .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
      .filter((line) => /^(npx |bin\/)?selm\s/.test(line))
      .map((line) => ({ name, line })),
  );

  it('the pages have commands to check', () => expect(commands.length).toBeGreaterThan(10));

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

  const recipes = blocks('yaml').filter(({ code }) => !/^# \S+: a prompt file\n/.test(code));

  it.each(recipes)('the settings of a recipe in $name exist', ({ code }) => {
    const known = new Set([
      ...recipeKeys(),
      ...sftRecipeKeys(),
      ...sweepKeys(),
      ...recipeKeys().flatMap((key) => [`set.${key}`, `grid.${key}`]),
      ...recipeKeys().map((key) => key.split('.').slice(1).join('.')),
    ]);
    const keysOf = (value: unknown, prefix: string): string[] =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.entries(value).flatMap(([key, below]) => [`${prefix}${key}`, ...keysOf(below, `${prefix}${key}.`)])
        : [];
    expect(keysOf(parse(code), '').filter((key) => !known.has(key))).toEqual([]);
  });
});
