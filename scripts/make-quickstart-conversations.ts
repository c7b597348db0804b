/**
 * @file Makes recipes/quickstart/conversations.jsonl, which supervised fine-tuning learns from: of the chosen stories of
 * pairs.jsonl, each up to its last whole sentence, the 128 of the best reward, as conversations.
 * Run: `npx tsx scripts/make-quickstart-conversations.ts`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { reward } from '../recipes/quickstart/reward.ts';

const COUNT = 128;
const folder = fileURLToPath(new URL('../recipes/quickstart/', import.meta.url));
const pairs = readFileSync(join(folder, 'pairs.jsonl'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as { prompt: string; chosen: string }); // our own file
const scored = pairs
  .map(({ prompt, chosen }) => ({ prompt, chosen: /^[\s\S]*[.!?]"?/.exec(chosen)?.[0] ?? '' }))
  .filter(({ chosen }) => chosen !== '')
  .map((pair) => ({ ...pair, score: reward(pair.prompt, [pair.chosen])[0] ?? 0 }));
const least = scored.map(({ score }) => score).sort((a, b) => b - a)[COUNT - 1] ?? 0;
const rows = scored
  .filter(({ score }) => score >= least)
  .slice(0, COUNT)
  .map(({ prompt, chosen }) => ({
    messages: [
      { role: 'user', content: prompt },
      { role: 'assistant', content: chosen },
    ],
  }));
writeFileSync(join(folder, 'conversations.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
process.stdout.write(`${rows.length} of ${scored.length} stories, reward ${least.toFixed(2)} and above\n`);
