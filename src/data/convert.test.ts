/** @file Rows survive a conversion into every form and format, and a conversion that fails leaves nothing. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { convertRows } from './convert.ts';
import { FORMS } from './forms.ts';
import { collectRows, readRows } from './read.ts';
import type { PreferenceRow } from './rows.ts';

const ultrafeedback = join(packageRoot, 'test', 'fixtures', 'data', 'train_prefs-snappy.parquet');
const all = { limit: null, onBadRow: 'stop' } as const;

async function rowsOf(file: string): Promise<Omit<PreferenceRow, 'source'>[]> {
  return (await collectRows(readRows([file]), all)).map(({ source, ...row }) => row);
}

function written(lines: unknown[]): string {
  const path = join(temporaryFolder(), 'in.jsonl');
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return path;
}

describe('convertRows()', () => {
  it.each(FORMS.flatMap((form) => ['jsonl', 'jsonl.gz', 'parquet'].map((extension) => [form, extension] as const)))(
    'writes chat rows as %s to .%s, and they are read back',
    async (form, extension) => {
      const output = join(temporaryFolder(), 'made', `out.${extension}`);
      const limit = form === 'text' ? 6 : null; // the last row has several turns
      const conversion = await convertRows([ultrafeedback], output, { ...all, limit, form });
      const count = limit ?? 7;
      expect(conversion).toEqual({ read: count, written: count, dropped: new Map() });
      const before = (await rowsOf(ultrafeedback)).slice(0, count);
      const after = await rowsOf(output);
      if (form !== 'text') expect(after).toEqual(before);
      else {
        const asText = before.map((row) => {
          const content = row.prompt.kind === 'chat' ? row.prompt.messages[0]?.content : '';
          return { ...row, prompt: { kind: 'text', text: content } };
        });
        expect(after).toEqual(asText);
      }
      expect(readdirSync(join(output, '..'))).toEqual([`out.${extension}`]);
    },
  );

  it('keeps tools and fields of messages in JSONL, and says that Parquet has no place for them', async () => {
    const call = { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f' } }] };
    const answer = { role: 'assistant', content: 'No' };
    const row = {
      prompt: [{ role: 'user', content: 'Hi' }],
      chosen: [call],
      rejected: [answer],
      tools: [{ name: 'f' }],
    };
    const input = written([row]);
    const output = join(temporaryFolder(), 'out.jsonl');
    await convertRows([input], output, { ...all, form: 'conversational' });
    expect(await rowsOf(output)).toEqual(await rowsOf(input));
    const parquet = join(temporaryFolder(), 'out.parquet');
    await expect(convertRows([input], parquet, { ...all, form: 'conversational' })).rejects.toThrow(
      'written as JSONL only',
    );
    await expect(convertRows([input], output.replace('out', 'text'), { ...all, form: 'text' })).rejects.toThrow(
      'form text',
    );
  });

  it('writes what other programs know: the columns of UltraFeedback, and of TRL', async () => {
    const input = written([{ prompt: 'Hi', chosen: 'Yes', rejected: 'No', prompt_id: 'x', score_chosen: 3 }]);
    const line = async (form: 'ultrafeedback' | 'conversational' | 'text'): Promise<unknown> => {
      const output = join(temporaryFolder(), 'out.jsonl');
      await convertRows([input], output, { ...all, form });
      return JSON.parse(readFileSync(output, 'utf8'));
    };
    const user = { role: 'user', content: 'Hi' };
    const assistant = (content: string) => ({ role: 'assistant', content });
    expect(await line('ultrafeedback')).toEqual({
      prompt_id: 'x',
      prompt: 'Hi',
      chosen: [user, assistant('Yes')],
      rejected: [user, assistant('No')],
    });
    expect(await line('conversational')).toEqual({
      prompt_id: 'x',
      prompt: [user],
      chosen: [assistant('Yes')],
      rejected: [assistant('No')],
    });
    expect(await line('text')).toEqual({ prompt_id: 'x', prompt: 'Hi', chosen: 'Yes', rejected: 'No' });
  });

  it('stops at a row that the form cannot hold and leaves nothing, or leaves it out and counts it', async () => {
    const output = join(temporaryFolder(), 'out.parquet');
    const conversion = convertRows([ultrafeedback], output, { ...all, form: 'text' });
    await expect(conversion).rejects.toMatchObject({ code: 'ROW_UNUSABLE', details: { line: 7, field: 'prompt' } });
    expect(readdirSync(join(output, '..'))).toEqual([]);
    expect(await convertRows([ultrafeedback], output, { ...all, onBadRow: 'drop', form: 'text' })).toEqual({
      read: 7,
      written: 6,
      dropped: new Map([['its prompt is a conversation, which the form text cannot hold', 1]]),
    });

    const alone = written([{ prompt: 'Hi' }]);
    const pairs = join(temporaryFolder(), 'pairs.jsonl');
    await expect(convertRows([alone], pairs, { ...all, form: 'ultrafeedback' })).rejects.toThrow('a prompt alone');
    await convertRows([alone], pairs, { ...all, form: 'text' });
    expect(await rowsOf(pairs)).toMatchObject([{ prompt: { text: 'Hi' }, chosen: null }]);
  });

  it('never writes over a file, nor by a name without a format', async () => {
    const folder = temporaryFolder();
    const output = join(folder, 'out.jsonl');
    writeFileSync(output, 'mine');
    await expect(convertRows([ultrafeedback], output, { ...all, form: 'text' })).rejects.toMatchObject({
      code: 'FILE_EXISTS',
      exitCode: 2,
    });
    expect(readFileSync(output, 'utf8')).toBe('mine');
    for (const name of ['out.csv', 'out.jsonl.zst']) {
      await expect(convertRows([ultrafeedback], join(folder, name), { ...all, form: 'text' })).rejects.toMatchObject({
        code: 'DATA_FORMAT',
      });
      expect(existsSync(join(folder, name))).toBe(false);
    }
  });
});
