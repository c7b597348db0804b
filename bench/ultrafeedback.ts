/** @file Rows of UltraFeedback, of the tests' fixture: as chat pairs that both selm and TRL read, or as they are. */
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

/** One prompt and its two answers. */
export interface AnsweredPrompt {
  prompt: string;
  answers: [chosen: string, rejected: string];
}

/** Every row of the fixture. */
export function ultraFeedbackRows(): AnsweredPrompt[] {
  const fixture = join(here, '..', 'test', 'fixtures', 'data', 'ultrafeedback-140.jsonl.gz');
  const lines = gunzipSync(readFileSync(fixture)).toString().trim().split('\n');
  const said = (messages: Row['chosen']): string => messages.at(-1)?.content ?? '';
  return lines.map((line) => {
    const { prompt, chosen, rejected } = JSON.parse(line) as Row;
    return { prompt, answers: [said(chosen), said(rejected)] };
  });
}

/** Writes the first `count` rows whose prompt is short enough for a bench; refuses to write fewer. */
export function writeUltraFeedback(path: string, count: number): void {
  const rows = ultraFeedbackRows()
    .filter(({ prompt }) => prompt.length < 800)
    .slice(0, count);
  if (rows.length < count) throw new Error(`UltraFeedback's fixture has ${rows.length} short prompts, not ${count}`);
  const said = (content: string) => [{ role: 'assistant', content }];
  const lines = rows.map(({ prompt, answers: [chosen, rejected] }) =>
    JSON.stringify({ prompt: [{ role: 'user', content: prompt }], chosen: said(chosen), rejected: said(rejected) }),
  );
  writeFileSync(path, `${lines.join('\n')}\n`);
}
