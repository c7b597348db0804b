/** @file A small run on disk as a loop would leave it, for the tests of the studio: whatever texts a test wants in it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseRecipe } from '../recipe/load.ts';
import type { Evaluation } from '../store/evaluations.ts';
import type { RunEnvironment, RunIdentity } from '../store/identity.ts';
import { openLedger } from '../store/ledger.ts';
import { writeRunConfig } from '../store/run-config.ts';
import { RUN_FORMAT_VERSION } from '../store/run-config-versions.ts';

export interface StudioRun {
  /** Pairs in each iteration. @default 3 */
  pairs?: number;
  /** Steps in each iteration. @default 4 */
  steps?: number;
  /** @default 2 */
  iterations?: number;
  /** Text of every prompt, and of every response, behind its number. @default plain words */
  text?: string;
  /** Stands in the recipe as the title. @default 'A small run' */
  title?: string;
  /** @default a function */
  ranker?: 'function' | 'people';
  /** Rewards of the base and of each iteration's model on held-out prompts, one a prompt. @default nothing was measured */
  measured?: readonly (readonly number[])[];
}

/** Writes a finished run into a folder, and returns the folder. */
export function writeStudioRun(
  path: string,
  {
    pairs = 3,
    steps = 4,
    iterations = 2,
    text = 'a text',
    title = 'A small run',
    ranker = 'function',
    measured = [],
  }: StudioRun = {},
): string {
  mkdirSync(path, { recursive: true });
  const recipe = parseRecipe(
    {
      name: 'small',
      seed: 1,
      model: 'model',
      data: { train: 'rows.jsonl' },
      iterations,
      ranker: ranker === 'people' ? { kind: 'people' } : { kind: 'function', module: 'reward.ts' },
      objective: { preference: { kind: 'dpo' }, exploration: { kind: 'selm', alpha: 0.001 } },
      training: { learningRate: 5e-7 },
      evaluate: { title },
      output: path,
    },
    { workingDirectory: path },
  );
  {
    using ledger = openLedger(join(path, 'run.db'));
    for (let t = 1; t <= iterations; t++) {
      for (const stage of ['sample', 'rank', 'pair']) {
        ledger.stages.begin(t, stage);
        ledger.stages.finish(t, stage, { seconds: 1 });
      }
      for (let n = 0; n < pairs; n++) putPair(ledger, { t, n, text });
      ledger.stages.begin(t, 'train', { resumeStep: 0 });
      for (let step = 0; step < steps; step++)
        ledger.putMetric({ iteration: t, stage: 'train', step, values: { loss: 1 / (step + 1), lr: 0.1 } });
      ledger.stages.finish(t, 'train', { seconds: 2 });
    }
    for (const [iteration, rewards] of measured.entries())
      ledger.putRecord(iteration, 'evaluation', evaluationOf(rewards));
  }
  const identity: RunIdentity = { model: 'sha', data: [], ranker: [], secondRanker: [], evaluate: null };
  const environment = { selm: '0' } as unknown as RunEnvironment; // the studio does not read it
  const createdAt = '2026-01-02T00:00:00.000Z';
  writeRunConfig(path, {
    formatVersion: RUN_FORMAT_VERSION,
    createdAt,
    recipe,
    identity,
    environment,
    continuedIn: [],
  });
  return path;
}

function evaluationOf(rewards: readonly number[]): Evaluation {
  const promptIds = rewards.map((_, prompt) => `held-out-${prompt}`);
  const measures = { diversity: null, klToBase: null, klToPrevious: null, marginsOverPrevious: null, greedy: null };
  return {
    name: 'model',
    rewardName: 'reward',
    data: {
      promptIds,
      rewards: [...rewards],
      lengths: rewards.map(() => 3),
      textHealth: null,
      finishedShare: 1,
      ...measures,
    },
    answers: promptIds.map((promptId) => ({ promptId, prompt: 'a prompt', text: 'an answer' })),
  };
}

function putPair(ledger: ReturnType<typeof openLedger>, { t, n, text }: { t: number; n: number; text: string }): void {
  const promptId = `prompt-${n}`;
  const [good, bad] = [`good ${t}.${n} ${text}`, `bad ${t}.${n} ${text}`];
  const sampler = { samplerSha256: `sha-${t}`, seed: 1, finish: 'stop', logProb: -1.5 } as const;
  ledger.putSlice(t, []);
  if (t === 1)
    ledger.putSlice(1000 + n, [
      {
        promptId,
        prompt: { kind: 'text', text: `prompt ${n} ${text}` },
        chosen: null,
        rejected: null,
        source: { file: 'rows.jsonl', line: n + 1 },
      },
    ]);
  for (const [sampleIndex, answer] of [good, bad].entries())
    ledger.putResponses([
      {
        iteration: t,
        promptId,
        sampleIndex,
        text: answer,
        tokenIds: Int32Array.of(1, 2, 3),
        ...sampler,
      },
    ]);
  const from = (sampleIndex: number) => ({ kind: 'response', sampleIndex }) as const;
  ledger.putRanking({
    iteration: t,
    promptId,
    rankerId: 'function:reward.ts',
    candidates: [
      { ...from(0), text: good },
      { ...from(1), text: bad },
    ],
    scores: [n + 1, 0],
    order: [0, 1],
    ties: [],
  });
  ledger.putPairs([
    {
      pairId: `pair-${t}-${n}`,
      iteration: t,
      promptId,
      chosen: good,
      rejected: bad,
      response: good,
      chosenFrom: from(0),
      rejectedFrom: from(1),
      rankerId: 'function:reward.ts',
      scoreChosen: n + 1,
      scoreRejected: 0,
      source: { file: 'rows.jsonl', line: n + 1 },
    },
  ]);
}
