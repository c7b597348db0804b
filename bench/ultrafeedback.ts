/** @file Rows of UltraFeedback, of the tests' fixture, as chat pairs that both selm and TRL read. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));

interface Row {
  prompt: string;
  chosen: { content: string }[];
  rejected: { content: string }[];
}

/** Writes the first `count` rows whose prompt is short enough for a bench; refuses to write fewer. */
export function writeUltraFeedback(path: string, count: number): void {
  const fixture = join(here, '..', 'test', 'fixtures', 'data', 'ultrafeedback-140.jsonl.gz');
  const rows = gunzipSync(readFileSync(fixture))
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
    .filter(({ prompt }) => prompt.length < 800)
    .slice(0, count);
  if (rows.length < count) throw new Error(`UltraFeedback's fixture has ${rows.length} short prompts, not ${count}`);
  const said = (messages: Row['chosen']) => [{ role: 'assistant', content: messages.at(-1)?.content ?? '' }];
  const lines = rows.map(({ prompt, chosen, rejected }) =>
    JSON.stringify({
      prompt: [{ role: 'user', content: prompt }],
      chosen: said(chosen),
      rejected: said(rejected),
    }),
  );
  writeFileSync(path, `${lines.join('\n')}\n`);
}
