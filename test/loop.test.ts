/** @file The options of Algorithm 1, each through a whole small run: what is trained on, from where, and against what. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openLedger } from '../src/store/ledger.ts';
import { readEvents } from '../src/store/read-events.ts';
import { lossesOf, run, weights } from './support/small-run.ts';

const dpo = { kind: 'dpo', beta: 0.1 };

describe('a run', () => {
  it('with alpha 0 is one without optimism term, byte for byte; another alpha is not', async () => {
    const zero = await run({ objective: { preference: dpo, exploration: { kind: 'selm', alpha: 0 } } });
    const none = await run({ objective: { preference: dpo, exploration: { kind: 'none' } } });
    const some = await run({ objective: { preference: dpo, exploration: { kind: 'selm', alpha: [0, 0.5] } } });
    expect([weights(zero.output, 1), weights(zero.output, 2)]).toEqual([
      weights(none.output, 1),
      weights(none.output, 2),
    ]);
    expect(weights(some.output, 1)).toBe(weights(none.output, 1));
    expect(weights(some.output, 2)).not.toBe(weights(none.output, 2));
  });

  it('begins every iteration at ln 2 when the reference is the previous policy, and only the first when it is the initial one', async () => {
    const previous = await run({});
    const initial = await run({ reference: 'initial' });
    expect([lossesOf(previous.events, 1)[0], lossesOf(previous.events, 2)[0]]).toEqual([Math.LN2, Math.LN2]);
    expect(lossesOf(initial.events, 1)[0]).toBe(Math.LN2);
    expect(Math.abs((lossesOf(initial.events, 2)[0] ?? 0) - Math.LN2)).toBeGreaterThan(1e-4);
  });

  it('warm-starts by plain DPO on the pairs of the first slice, without sampling', async () => {
    const { output, events } = await run({ warmStart: 'dpo', iterations: 2 }, 'with pairs');
    const sampled = events
      .filter((event) => event.kind === 'stage-started' && event.stage === 'sample')
      .map((event) => 'iteration' in event && event.iteration);
    expect(sampled).toEqual([1, 2]);
    expect(lossesOf(events, 0)).toHaveLength(1); // 9 rows, 3 slices: one step of 3 pairs
    const ledger = openLedger(join(output, 'run.db'), { access: 'read' });
    expect(
      ledger.pairs(0).every((pair) => pair.chosenFrom.kind === 'chosen' && pair.rejectedFrom.kind === 'rejected'),
    ).toBe(true);
    expect(new Set([0, 1, 2].flatMap((t) => ledger.pairs(t).map((pair) => pair.promptId))).size).toBeGreaterThan(6);
    ledger.close();
  });

  it('trains on the pairs of earlier iterations too when it accumulates', async () => {
    const { output, events } = await run({ accumulate: true });
    const ledger = openLedger(join(output, 'run.db'), { access: 'read' });
    const all = ledger.pairs(1).length + ledger.pairs(2).length;
    ledger.close();
    expect(lossesOf(events, 2)).toHaveLength(Math.ceil(all / 3));
  });

  it('starts again at the first slice when slices may be reused, and refuses to run out of them otherwise', async () => {
    const reused = await run({ iterations: 3, slices: { count: 2, reuse: 'cycle' } });
    expect(existsSync(join(reused.output, 'iteration-3', 'model'))).toBe(true);
    await expect(run({ iterations: 3, slices: { count: 2 } })).rejects.toMatchObject({ exitCode: 2 });
  });

  it('takes the learning rate of each iteration from the cycle', async () => {
    const { events } = await run({
      training: { batchSize: 3, learningRate: 0.001, cycle: [0.001, 0.0001], schedule: 'constant', warmupRatio: 0 },
    });
    const rates = events.flatMap((event) =>
      event.kind === 'metrics' ? [`${event.iteration}: ${event.values.lr}`] : [],
    );
    expect(new Set(rates)).toEqual(new Set(['1: 0.001', '2: 0.0001']));
  });

  it('trains in bfloat16 from ln 2 too', async () => {
    const { events } = await run({ iterations: 1, training: { batchSize: 3, learningRate: 0.001, dtype: 'bfloat16' } });
    expect(lossesOf(events, 1)[0]).toBe(Math.LN2);
  });

  it("trains under the authors' rendering from ln 2, on the text of what was sampled", async () => {
    const { output, events } = await run({ iterations: 1, text: { rendering: 'faithful' } }, 'with pairs');
    const clean = await run({ iterations: 1 }, 'with pairs');
    expect(lossesOf(events, 1)[0]).toBe(Math.LN2);
    expect(weights(output, 1)).not.toBe(weights(clean.output, 1));
  });

  it('ends a response at a stop text, and cuts the text before it', async () => {
    const { output } = await run({
      iterations: 1,
      sampling: { samples: 2, temperature: 1, maxNewTokens: 24, stop: [' the'] },
    });
    const ledger = openLedger(join(output, 'run.db'), { access: 'read' });
    const responses = ledger.responses(1);
    ledger.close();
    expect(responses.some((response) => response.finish === 'stop')).toBe(true);
    for (const { text } of responses) expect(text).not.toContain(' the');
  });
});

it('writes a card beside the model with what was measured of it on held-out prompts', async () => {
  const { output } = await run({
    iterations: 1,
    sampling: { samples: 2, temperature: 1, maxNewTokens: 8, batchSize: 6 },
    evaluate: { prompts: 'prompts.jsonl', limit: 4, temperature: 1 },
  });
  const card = readFileSync(join(output, 'iteration-1', 'model', 'README.md'), 'utf8');
  expect(card).toMatch(
    /^---\nbase_folder: stories260K\nlicense: other\nlicense_name: unknown\nlibrary_name: transformers\n/,
  );
  expect(card).toMatch(/\| base \| [\d.]+ \| [\d.]+ \| {2}\|\n\| iteration 1 \| [\d.]+ \| [\d.]+ \| -?[\d.]+ \|/);
  expect(card).toContain('Reward: score of reward.ts, on 4 answers.');
});

it('leaves an event log in its folder that another process reads: what was told, from the opening to the end', async () => {
  const { output, events } = await run({ iterations: 1, slices: { count: 2 } });
  const logged = readEvents(output, 0)?.events.map(({ event }) => event) ?? [];
  const losses = logged.flatMap((event) => (event.kind === 'metrics' ? [event.values.loss] : []));
  expect(losses).toEqual(lossesOf(events, 1));
  expect([logged[0]?.kind, logged.at(-1)]).toEqual(['opened', expect.objectContaining({ outcome: 'finished' })]);
});
