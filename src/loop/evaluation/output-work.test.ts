/** @file Outputs for a judge that several ranks sample: those of one process. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { AnswerStore } from '../../evaluate/benchmarks/answer-store.ts';
import { packageRoot } from '../../files/package-root.ts';
import { teamOf } from '../../ranks/team.testing.ts';
import { ALONE, type Team } from '../../ranks/team.ts';
import { memoryStatistics } from '../../torch/memory.ts';
import { openSharedOutputs } from './output-work.ts';

/** Answers that are kept while the test runs. */
function storeOf(answers: Map<string, string>): AnswerStore {
  return {
    get: (key) => answers.get(key) ?? null,
    put: (added) => {
      for (const { key, answer } of added) answers.set(key, answer);
    },
    close: () => {},
  };
}

it('three ranks sample four outputs as one process does, keep them alike, and free what they opened', async () => {
  const sampled = async (team: Team) => {
    const answers = new Map<string, string>();
    const place = { team, store: storeOf(answers), signal: undefined, device: 'cpu' };
    const model = await openSharedOutputs(join(packageRoot, 'assets', 'stories260K'), place);
    const prompts = ['Lily went to the', 'Tom saw a', 'Once', 'Mia was'].map((text) => model.asPrompt(text));
    const outputs = await model.sample(prompts, { temperature: 0.7, topP: 1, maxNewTokens: 12, seed: 0 });
    model.dispose();
    return { outputs, answers };
  };
  const alone = await sampled(ALONE);
  const before = memoryStatistics().liveTensors;
  expect(await sampled(teamOf(3))).toEqual(alone);
  expect(new Set(alone.outputs).size).toBe(4);
  expect(memoryStatistics().liveTensors).toBe(before);
});
