/** @file Held-out answers are scored by each other model once, in the type that they were sampled in. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { ALONE, type Team } from '../../ranks/team.ts';
import { parseRecipe } from '../../recipe/load.ts';
import type { Answer } from './answers.ts';
import { divergences } from './divergence.ts';

const base = fileURLToPath(new URL('../../../assets/stories260K', import.meta.url));

const answer = (promptId: string, logProb: number, ...tokenIds: number[]): Answer => ({
  ...{ samplerSha256: 'pi', settings: 'greedy', promptId, sampleIndex: 0, text: '', length: 3, finish: 'length' },
  row: {
    ...{ promptId, prompt: { kind: 'text', text: '' }, chosen: null, rejected: null },
    source: { file: 'prompts.jsonl', line: 1 },
  },
  promptIds: Int32Array.of(1, 403),
  tokenIds: Int32Array.from(tokenIds),
  logProb,
});
const answers = [answer('a', -20, 261, 410, 378), answer('b', -21, 385, 317, 261)];

/** A team of one that remembers what it was asked to do. */
function remembering(): { team: Team; settings: unknown[] } {
  const settings: unknown[] = [];
  const share: Team['share'] = (work, setting, items, signal) => {
    settings.push(setting);
    return ALONE.share(work, setting, items, signal);
  };
  return { team: { ...ALONE, share }, settings };
}

function contextOf(team: Team, dtype: 'float32' | 'bfloat16') {
  const recipe = parseRecipe({
    ...{ name: 'run', model: base, data: { train: 'prompts.jsonl' }, training: { learningRate: 5e-7 } },
    ...{ ranker: { kind: 'function', module: 'reward.ts' }, sampling: { dtype } },
    objective: { preference: { kind: 'dpo' }, exploration: { kind: 'none' } },
    evaluate: { temperature: 1 },
  });
  return { recipe, team, signal: undefined };
}

it('scores a model once that is both the base and the policy before', async () => {
  const { team, settings } = remembering();
  const { klToBase, klToPrevious } = await divergences(contextOf(team, 'float32'), answers, { base, previous: base });
  expect(settings).toHaveLength(1);
  expect(klToBase?.value).not.toBeNaN();
  expect(klToPrevious).toEqual(klToBase);
});

it('computes in the type that the answers were sampled in', async () => {
  const { team, settings } = remembering();
  const own = await divergences(contextOf(team, 'bfloat16'), answers, { base: null, previous: base });
  expect(settings).toMatchObject([{ dtype: 'bfloat16', modelDirectory: base }]);
  expect(own.klToBase).toBeNull();
});
