/** @file What is scored under the 72 public templates that TRL carries: the response, in ordinary and in odd conversations. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { type MeasuredText, measureRows, renderPair } from './rendering.ts';
import type { Message } from './template.ts';
import { loadTokenizer } from './tokenizer/tokenizer.ts';

const stories = loadTokenizer(join(packageRoot, 'assets', 'stories260K'));
const folder = join(packageRoot, 'test', 'fixtures', 'chat-templates', 'trl');
const templates = readdirSync(folder)
  .filter((name) => name.endsWith('.jinja'))
  .map((name) => ({ ...stories, chatTemplate: readFileSync(join(folder, name), 'utf8') }));
const settings = { rendering: 'clean', maxLength: 100_000, maxPromptLength: 50_000 } as const;

const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });
const row = (messages: Message[], ...texts: string[]): MeasuredText => ({
  prompt: { kind: 'chat', messages },
  responses: texts.map((text) => ({ text })),
});

/** How the first response of a row comes out: scored as it is, counted as changed, at fault, or an error of the template. */
function outcome(tokenizer: (typeof templates)[number], { prompt, responses }: MeasuredText): string {
  try {
    const [measured] = measureRows(tokenizer, [{ prompt, responses }], settings);
    if (measured?.kind !== 'measure') return 'at fault';
    if (measured.measure.changes[0] !== 'none') return 'counted';
    const [chosen = { text: '' }, rejected = { text: '' }] = responses;
    const pair = renderPair(tokenizer, { prompt, chosen, rejected, response: null }, settings);
    const before = stories.decode(pair.chosen.promptIds);
    const scored = stories.decode([...pair.chosen.promptIds, ...pair.chosen.responseIds]).slice(before.length);
    return scored.trim() === chosen.text ? 'scored' : `scored as ${scored}`;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  }
}

function count(text: MeasuredText): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const tokenizer of templates) {
    const name = outcome(tokenizer, text);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

// Four templates write images only, two want a date, two take contents in parts: none of them can be used here.
const unusable = { 'at fault': 4, TEMPLATE_INVALID: 4 };

it.each([
  ['that begins like markup', row([user('Hi there')], '<b>Yo</b> cat', 'No.'), { scored: 64 }],
  // GLM 4.5 writes its empty block of reasoning and then nothing: no line end stands behind it.
  ['that is empty', row([user('Hi there')], '', 'No.'), { scored: 62, counted: 2 }],
  ['in a later turn', row([user('Hi'), assistant('Yo'), user('Bye now')], 'See you', 'No.'), { scored: 64 }],
  ['that goes on with a prompt', row([user('Count'), assistant('One, two,')], 'three', 'ten'), { scored: 64 }],
])('a response %s', (_, text, expected) => {
  expect(count(text)).toEqual({ ...expected, ...unusable });
});
