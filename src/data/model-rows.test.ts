/** @file Rows as a model reads them: texts as messages or raw, tools and reasoning, and what its template cannot write. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { loadTokenizer } from '../text/tokenizer/tokenizer.ts';
import { auditRows, formatAudit } from './audit.ts';
import { modelReading } from './measure.ts';
import { rowsAsAudited } from './model-rows.ts';
import { readRows } from './read.ts';
import { usableRows } from './usable.ts';

const CHAT =
  "{% for m in messages %}{{ '[' + m.role + ']' + (m.content or '') + eos_token }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}";
const stories = loadTokenizer(join(packageRoot, 'assets', 'stories260K'));
const tokenizer = { ...stories, chatTemplate: CHAT };
const text = { rendering: 'clean', prompts: null, maxLength: 64, maxPromptLength: 40 } as const;
const drop = { onBadRow: 'drop', limit: null } as const;
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string | null, more = {}) => ({ role: 'assistant', content, ...more });

function file(rows: readonly unknown[]): string {
  const path = join(temporaryFolder(), 'rows.jsonl');
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

describe('auditRows() says in which way prompts were read', () => {
  const rows = [
    { prompt: 'Hi', chosen: 'Yes', rejected: 'No' },
    { prompt: [user('Hi')], chosen: [assistant('Yes')], rejected: [assistant('No')] },
    { prompt: [user('Count'), assistant('One,')], chosen: ' two', rejected: ' ten' },
  ];

  it.each([
    ['a chat template', null, 'chat', "2 conversations, 1 texts read as user's messages (text.prompts: chat)"],
    [
      'a chat template, where the recipe says raw',
      'raw',
      'raw',
      '2 conversations, 1 texts read as raw texts (text.prompts: raw)',
    ],
  ] as const)('with %s', async (_, prompts, reading, line) => {
    const reads = modelReading(tokenizer, { ...text, prompts });
    const audit = await auditRows(readRows([file(rows)]), { ...drop, ...reads });
    expect(audit).toMatchObject({ used: 3, reading, textPrompts: 1, continuedPrompts: 1 });
    expect(formatAudit(audit)).toContain(`Prompts: ${line}, 1 that end in the assistant's words`);
  });

  it('without a chat template: texts are raw', () => {
    expect(modelReading({ ...stories, chatTemplate: null }, text).prompts).toBe('raw');
  });
});

it('auditRows() names the fields that no row is made of', async () => {
  const path = file([
    { prompt: 'Hi', completion: 'Yes', label: true },
    { prompt: 'Bye', system: 'Be kind', score: null },
    { prompt: 'Hi', chosen: 'a', rejected: 'b', messages: [user('Hi'), assistant('a')], score_chosen: 3 },
    { prompt: [{ ...user('Hi'), id: 7 }], chosen: 'a', rejected: 'b' },
  ]);
  const audit = await auditRows(readRows([path]), { ...drop, ...modelReading(tokenizer, text) });
  expect(Object.fromEntries(audit.unusedFields)).toEqual({ completion: 1, label: 1, system: 1, score_chosen: 1 });
  expect(formatAudit(audit)).toContain('Fields not used: completion (1 rows), label (1 rows), system (1 rows)');
  expect(formatAudit(audit)).toContain('Fields of messages that the chat template does not mention: id (1 rows)');
});

describe('rows that the chat template cannot write', () => {
  const call = { tool_calls: [{ function: { name: 'f', arguments: { a: 1 } } }] };
  const rows = [
    { prompt: 'One', chosen: 'Yes', rejected: 'No' },
    { prompt: [user('Two')], chosen: [assistant(null, call)], rejected: [assistant('No')] },
    { prompt: 'Three', tools: '[{"function": {"name": "f"}}]' },
    { prompt: 'Four', chosen: ' long'.repeat(60), rejected: ' long'.repeat(70) },
    { prompt: 'One', chosen: 'No', rejected: 'Yes' },
    { prompt: [{ role: 'human', content: 'Five' }] },
  ];

  it('are counted by their reason, and the others keep their ids when they are read again', async () => {
    const path = file(rows);
    const reading = modelReading(tokenizer, text);
    const audit = await auditRows(readRows([path]), { ...drop, ...reading });
    expect(audit).toMatchObject({ read: 6, used: 2, equalPairs: 1 });
    expect(Object.fromEntries(audit.dropped)).toEqual({
      'the chat template leaves it out': 2,
      'chosen equals rejected as cut': 1,
      'the chat template does not know the role': 1,
    });
    const { prompts } = reading;
    const again = rowsAsAudited(readRows([path]), { prompts, unrenderable: audit.unrenderable });
    const found = [];
    for await (const { promptId, prompt, source } of usableRows(again, drop))
      found.push({ promptId, prompt, line: source.line });
    expect(found).toMatchObject([{ line: 1, prompt: { kind: 'chat', messages: [user('One')] } }, { line: 5 }]);
    expect(found[1]?.promptId).toBe(`${found[0]?.promptId}#2`);
  });

  it.each([
    [1, 'field "chosen.tool_calls": the chat template leaves it out'],
    [2, 'field "tools": the chat template leaves it out'],
    [3, 'field "rejected": chosen equals rejected as cut'],
    [5, 'field "prompt[0].role": the chat template does not know the role: it is "human"'],
  ])('stop a run that stops at bad rows: row %i', async (index, message) => {
    const path = file([rows[index]]);
    const options = { onBadRow: 'stop', limit: null, ...modelReading(tokenizer, text) } as const;
    await expect(auditRows(readRows([path]), options)).rejects.toThrow(`Cannot use ${path}:1: ${message}`);
  });

  it('are left alone where the template writes them', async () => {
    const calling = CHAT.replace(
      '+ eos_token',
      '+ (m.tool_calls | tojson if m.tool_calls else "") + eos_token',
    ).replace('{% for', '{{ tools | tojson if tools else "" }}{% for');
    const reading = modelReading({ ...stories, chatTemplate: calling }, { ...text, maxLength: 256 });
    const audit = await auditRows(readRows([file(rows.slice(0, 3))]), { ...drop, ...reading });
    expect([audit.used, audit.dropped.size]).toEqual([3, 0]);
  });
});
