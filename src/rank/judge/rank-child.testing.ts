/** @file Ranks items.json of a folder by the judge of settings.json, answers in answers.jsonl: a child for a test to kill. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openAnswerFile } from '../answer-file.ts';
import type { RankItem, Ranking } from '../ranker.ts';
import { type JudgeSettings, openJudge } from './judge.ts';

const folder = process.argv[2] ?? '';
const read = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'));
const answers = openAnswerFile(join(folder, 'answers.jsonl'));
const judge = openJudge(read('settings.json') as JudgeSettings, { answers: () => answers });
async function* items(): AsyncGenerator<RankItem> {
  yield* read('items.json') as RankItem[];
}
const rankings: Ranking[] = [];
for await (const ranking of judge.rank(items())) rankings.push(ranking);
writeFileSync(join(folder, 'rankings.json'), JSON.stringify(rankings));
