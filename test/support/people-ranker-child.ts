/** @file The part of a run that waits for people, in a process of its own, for a test that kills it. Usage: RUN PROMPTS */
import { writeSync } from 'node:fs';
import { openRanker } from '../../src/rank/open.ts';
import type { RankItem } from '../../src/rank/ranker.ts';
import { memoryAnswers } from '../../src/rank/services.ts';
import { loadRanker } from '../../src/recipe/load.ts';

const [run = '', prompts = '0'] = process.argv.slice(2);
const items = Array.from(
  { length: Number(prompts) },
  (_, n): RankItem => ({
    promptId: `p${n}`,
    prompt: { kind: 'text', text: `prompt ${n}` },
    candidates: ['worse', 'better'].map((word, sampleIndex) => ({
      kind: 'response',
      sampleIndex,
      text: `${word} ${n}`,
    })),
  }),
);
async function* inTurn(): AsyncGenerator<RankItem> {
  yield* items;
}

const ranker = await openRanker(loadRanker({ kind: 'people' }), { answers: memoryAnswers, runPath: () => run });
writeSync(1, 'ready\n');
for await (const { promptId, order } of ranker.rank(inTurn())) writeSync(1, `ranked ${promptId} ${order.join(',')}\n`);
writeSync(1, 'done\n');
