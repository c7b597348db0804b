/**
 * @file Writes docs/errors.md, every error code that the program can give, from the places in src/ that give it. Run:
 * `npm run docs`; a test says when the page is stale.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as errors from '../src/errors.ts';
import { readSources } from './check-layers.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const PAGE = join(root, 'docs', 'errors.md');

/** One code, with the message of the first place that gives it. */
interface ErrorCode {
  code: string;
  type: string;
  message: string;
}

/** The page as it should be. */
export function errorsPage(): string {
  const codes = errorCodes();
  const groups = [...new Set(codes.map(({ type }) => type))].sort();
  const sections = groups.flatMap((type) => [
    `## ${type}, exit code ${exitCodeOf(type)}`,
    '',
    '| code | message |',
    '| --- | --- |',
    ...codes.filter((each) => each.type === type).map(({ code, message }) => `| \`${code}\` | ${message} |`),
    '',
  ]);
  return `${[
    '# Errors',
    'Every error code, made from the source by `npm run docs`. A message says what was being done, the value, what is allowed and the',
    'fix; … stands for what differs. With `--json` an error is one line: `{"error": {"code", "message", "details"}}`. What to do about',
    'the common ones: [troubleshooting.md](troubleshooting.md).',
    '',
    '| exit code | meaning |',
    '| --- | --- |',
    '| 0 | done |',
    '| 1 | it failed during work; what was finished is kept, and the same command goes on |',
    '| 2 | wrong use or wrong input; nothing was changed |',
    '| 130, 143 | stopped by Ctrl-C or SIGTERM with everything saved; the same command goes on |',
    '',
    ...sections,
  ]
    .join('\n')
    .trimEnd()}\n`;
}

/** All codes of src/, sorted. */
export function errorCodes(): ErrorCode[] {
  const found = new Map<string, ErrorCode>();
  const worker = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.mjs'),
  );
  const texts = [
    ...readSources(join(root, 'src')).map(({ text }) => text),
    ...worker.map((name) => readFileSync(join(root, 'src', name), 'utf8')),
  ];
  for (const text of texts) {
    for (const match of text.matchAll(
      /new (\w+Error)\(\s*'([A-Z][A-Z0-9_]+)',\s*((?:`[^`]*`|'(?:[^'\\]|\\.)*'|\w[\w.]*))/g,
    )) {
      const [, type = '', code = '', literal = ''] = match;
      const known = found.get(code);
      if (known === undefined || known.message === '') found.set(code, { code, type, message: messageOf(literal) });
    }
  }
  return [...found.values()].sort((a, b) => (a.code < b.code ? -1 : 1));
}

/** A message with … for each value in it; empty where it is made elsewhere. */
function messageOf(literal: string): string {
  if (!/^[`']/.test(literal)) return '';
  const text = literal.slice(1, -1).replaceAll("\\'", "'");
  return withoutValues(text).replaceAll('\\n', ' ').replaceAll('|', '\\|').replaceAll('<', '&lt;').replace(/\s+/g, ' ');
}

/** `${...}` as …, also where braces stand within. */
function withoutValues(text: string): string {
  let result = '';
  for (let i = 0; i < text.length; i++) {
    if (!text.startsWith('${', i)) {
      result += text[i];
      continue;
    }
    let depth = 0;
    do {
      if (text[i] === '{') depth += 1;
      if (text[i] === '}') depth -= 1;
      i += 1;
    } while (i < text.length && (depth > 0 || text[i - 1] === '$'));
    i -= 1;
    result += '…';
  }
  return result;
}

/** Exit code of a command that ends with an error of this class. */
function exitCodeOf(type: string): number | string {
  const Class = (errors as Record<string, unknown>)[type];
  if (typeof Class !== 'function') return 2;
  return (Reflect.construct(Class, ['CODE', 'message']) as errors.SelmError).exitCode;
}

const invoked = process.argv[1];
if (invoked !== undefined && fileURLToPath(import.meta.url) === invoked) writeFileSync(PAGE, errorsPage());
