/**
 * @file Writes docs/api.md from the declarations that the compiler makes of src/index.ts: each export with its comment and
 * its signature. Run: `npm run docs`; a test says when the page is stale.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const PAGE = join(root, 'docs', 'api.md');

interface Declaration {
  name: string;
  kind: 'function' | 'interface' | 'type' | 'class';
  comment: string;
  code: string;
}

/** The page as it should be. */
export function apiPage(): string {
  const folder = mkdtempSync(join(tmpdir(), 'selm-declarations-'));
  try {
    const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
    const made = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.types.json', '--outDir', folder], {
      cwd: root,
      encoding: 'utf8',
    });
    if (made.status !== 0) throw new Error(`The declarations cannot be made: ${made.stdout}${made.stderr}`);
    return formatPage(exportsOf(join(folder, 'index.d.ts')));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The declarations that an index file exports, in its order. */
function exportsOf(index: string): Declaration[] {
  const statements = readFileSync(index, 'utf8').matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)';/gm);
  return [...statements].flatMap(([, names = '', from = '']) => {
    const text = readFileSync(join(dirname(index), from.replace(/\.ts$/, '.d.ts')), 'utf8');
    const wanted = names.split(',').map((name) => name.trim().replace(/^type /, ''));
    return wanted.filter((name) => name !== '').map((name) => declarationOf(name, text, from));
  });
}

function declarationOf(name: string, text: string, from: string): Declaration {
  const start = new RegExp(`^export (?:declare )?(?:abstract )?(function|interface|type|class) ${name}\\b`, 'm').exec(
    text,
  );
  if (start === null) throw new Error(`${from} declares no ${name}`);
  const before = text.slice(0, start.index).trimEnd();
  const comment = before.endsWith('*/') ? before.slice(before.lastIndexOf('/**')) : '';
  const kind = start[1] as Declaration['kind'];
  const code = text.slice(start.index, endOf(text, { start: start.index, kind })).replace(/^export (declare )?/, '');
  return { name, kind, comment: commentText(comment), code };
}

/** Where a declaration ends: an interface or a class at the brace that closes it, others at the semicolon outside all braces. */
function endOf(text: string, { start, kind }: { start: number; kind: Declaration['kind'] }): number {
  const endsWithBrace = kind === 'interface' || kind === 'class';
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (character === '/' && text[at + 1] === '*') at = text.indexOf('*/', at) + 1;
    else if (character === '{' || character === '(') depth += 1;
    else if (character === '}' || character === ')') {
      depth -= 1;
      if (endsWithBrace && depth === 0 && character === '}') return at + 1;
    } else if (!endsWithBrace && character === ';' && depth === 0) return at + 1;
  }
  throw new Error('A declaration without end');
}

function commentText(comment: string): string {
  const lines = comment.replace(/^\/\*\*|\*\/$/g, '').split('\n');
  return lines
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join('\n')
    .trim();
}

/** Longer ones are not for reading: the recipe's own documentation says what a recipe holds. */
const LONGEST_CODE = 6000;

function formatPage(declarations: readonly Declaration[]): string {
  const section = ({ name, comment, code }: Declaration): string => {
    const shown =
      code.length > LONGEST_CODE || name === 'RecipeInput' ? `type ${name} // the settings of a recipe` : code;
    return [`### ${name}`, '', ...(comment === '' ? [] : [comment, '']), '```ts', shown, '```', ''].join('\n');
  };
  const of = (...kinds: Declaration['kind'][]): string[] =>
    declarations.filter(({ kind }) => kinds.includes(kind)).map(section);
  const errors = declarations.filter(({ kind }) => kind === 'class');
  return [
    '# The library',
    '',
    '<!-- Made by scripts/api-docs.ts from src/index.ts: `npm run docs`. -->',
    '',
    "`import { train, generate, rank, loadModel } from 'selm'`: what the commands do, for a program. Node loads the sources",
    'through tsx, in a namespace of their own ([0004](decisions/0004-library-entry.md)). A whole program:',
    '[examples/library.ts](../examples/library.ts).',
    '',
    'A step of training and a pass of sampling block the event loop of the process they run in, each for as long as it takes:',
    'milliseconds for a small model, minutes for a large one. A program that has to answer meanwhile (a server, a user interface)',
    'runs `train()` in a child process (`child_process.fork`), passes its events on with `process.send`, and stops it with SIGINT.',
    'Threads of one process are no way out: a second one is refused (`ENGINE_THREAD`).',
    '',
    "The package is an ES module. From CommonJS, `await import('selm')`; `require('selm')` ends with that advice.",
    '',
    '## Functions',
    '',
    ...of('function'),
    '## Types',
    '',
    ...of('interface', 'type'),
    '## Errors',
    '',
    'Every error that is not a mistake of this package is a `SelmError`, with a stable `code`, `details` and an `exitCode`.',
    '',
    ...errors.map(({ name, comment }) => `- \`${name}\`: ${comment.replace(/\s+/g, ' ')}`),
    '',
  ].join('\n');
}

const invoked = process.argv[1];
if (invoked !== undefined && fileURLToPath(import.meta.url) === invoked) writeFileSync(PAGE, apiPage());
