/** @file Benchmarks whose questions several ranks answer: the answers of one process. The ranks of this test share a process. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Answered } from '../../evaluate/benchmarks/requests.ts';
import { openRespondent } from '../../evaluate/benchmarks/respondent.ts';
import { packageRoot } from '../../files/package-root.ts';
import { teamOf } from '../../ranks/team.testing.ts';
import { memoryStatistics } from '../../torch/memory.ts';
import { openSharedRespondent } from './benchmark-work.ts';

const model = join(packageRoot, 'assets', 'stories260K');
const options = { dtype: 'float32', batchTokens: 512, batchSize: 4 } as const;

async function byId<Value>(answers: AsyncIterable<Answered<Value>> | Iterable<Answered<Value>>) {
  const found: Record<string, Answered<Value>> = {};
  for await (const answer of answers) found[answer.id] = answer;
  return found;
}

it('two ranks answer three questions as one process does, to the bit, and free what they opened', async () => {
  const names = ['Lily', 'Tom', 'Mia'];
  const choices = names.map((name) => ({
    id: name,
    context: `${name} went to the`,
    continuations: [' park', ' big house', ' shop to buy a cake'],
  }));
  const prompts = names.map((name) => ({ id: name, context: `Once upon a time, ${name}` }));
  const settings = { stops: ['.'], maxNewTokens: 12 };
  const alone = await openRespondent(model, options);
  const expected = [await byId(alone.scoreChoices(choices)), await byId(alone.generateAnswers(prompts, settings))];
  alone.dispose();
  const before = memoryStatistics().liveTensors;
  const shared = await openSharedRespondent(model, { options, team: teamOf(2), signal: undefined });
  expect(shared.identity).toBe(alone.identity);
  expect(await byId(shared.scoreChoices(choices))).toEqual(expected[0]);
  expect(await byId(shared.generateAnswers(prompts, settings))).toEqual(expected[1]);
  shared.dispose();
  expect(memoryStatistics().liveTensors).toBe(before);
});
