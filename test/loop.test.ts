/** @file The options of Algorithm 1, each through a whole small run: what is trained on, from where, and against what. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { sha256 } from '../src/files/hash.ts';
import type { LoopEvent } from '../src/loop/events.ts';
import { openLedger, type StoredPair } from '../src/loop/ledger.ts';
import { runRecipe } from '../src/loop/run.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-loop-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

/** Runs a changed small recipe; rows with pairs where `pairs` is given. */
async function run(
  changes: Record<string, unknown>,
  pairs?: 'with pairs',
): Promise<{ output: string; events: LoopEvent[] }> {
  const folder = join(root, String(count++));
  const path = writeSmallRecipe(folder, changes);
  if (pairs !== undefined) {
    const names = ['Lily', 'Tom', 'Mia', 'Ben', 'Sue', 'Max', 'Tim', 'Amy', 'Sam'];
    const rows = names.map((name) => ({
      prompt: `${name} saw a dog.`,
      chosen: ' A happy dog and a cat ran.',
      rejected: ' No.',
    }));
    writeFileSync(join(folder, 'prompts.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  }
  const output = join(folder, 'run');
  const events: LoopEvent[] = [];
  await runRecipe(loadRecipe(path, { overrides: [`output=${output}`] }), { watch: (event) => void events.push(event) });
  return { output, events };
}

function weights(output: string, iteration: number): string {
  return sha256(readFileSync(join(output, `iteration-${iteration}`, 'model', 'model.safetensors')));
}

function pairsOf(output: string, iteration: number): StoredPair[] {
  using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  return ledger.pairs(iteration);
}

function stagesOf(events: LoopEvent[]): string[] {
  return events.flatMap((event) => (event.kind === 'stage-started' ? [event.stage] : []));
}

function lossesOf(events: LoopEvent[], iteration: number): number[] {
  return events.flatMap((event) =>
    event.kind === 'metrics' && event.iteration === iteration ? [event.values.loss ?? Number.NaN] : [],
  );
}

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

  it('puts a response into every pair under the rule replace', async () => {
    const { output } = await run({ update: 'replace', iterations: 1 }, 'with pairs');
    const pairs = pairsOf(output, 1);
    expect(pairs.length).toBeGreaterThan(0);
    for (const { chosenFrom, rejectedFrom } of pairs) {
      expect(`${chosenFrom.kind} over ${rejectedFrom.kind}`).toMatch(/^(response over rejected|chosen over response)$/);
    }
  });

  it("puts the data's chosen over every response under the rule data-over-response, and ranks nothing", async () => {
    const { output, events } = await run({ update: 'data-over-response', iterations: 1 }, 'with pairs');
    const origins = pairsOf(output, 1).map(
      ({ chosenFrom, rejectedFrom }) => `${chosenFrom.kind} over ${rejectedFrom.kind}`,
    );
    expect(origins).toEqual(Array.from({ length: 9 * 2 }, () => 'chosen over response'));
    expect(stagesOf(events)).not.toContain('rank');
    expect(lossesOf(events, 1)[0]).toBe(Math.LN2);
  });

  it("trains on the data's own pairs under the rule keep, and samples nothing", async () => {
    const objective = { preference: dpo, exploration: { kind: 'none' } };
    const { output, events } = await run({ update: 'keep', iterations: 2, objective }, 'with pairs');
    for (const { chosenFrom, rejectedFrom } of [...pairsOf(output, 1), ...pairsOf(output, 2)]) {
      expect([chosenFrom.kind, rejectedFrom.kind]).toEqual(['chosen', 'rejected']);
    }
    expect(stagesOf(events)).not.toContain('sample');
    // Stepwise DPO: the reference moves on, so the second iteration begins at ln 2 again.
    expect([lossesOf(events, 1)[0], lossesOf(events, 2)[0]]).toEqual([Math.LN2, Math.LN2]);
  });

  it('trains on every two candidates that the ranker tells apart by a margin', async () => {
    const all = await run({ update: 'all-pairs', iterations: 1 }, 'with pairs');
    const wide = await run({ update: 'all-pairs', iterations: 1, minMargin: 3 }, 'with pairs');
    const margins = (output: string) =>
      pairsOf(output, 1).map(({ scoreChosen, scoreRejected }) => (scoreChosen ?? 0) - (scoreRejected ?? 0));
    const wanted = margins(all.output).filter((margin) => margin >= 3);
    expect(margins(all.output).length).toBeGreaterThan(9); // 4 candidates of 9 prompts
    expect(wanted.length).toBeGreaterThan(0);
    expect(margins(wide.output)).toEqual(wanted);
  });

  it("explores away from the initial model's own sample under xpo", async () => {
    const objective = { preference: dpo, exploration: { kind: 'xpo', alpha: 0.001 } };
    const sampling = { samples: 1, referenceSamples: 1, temperature: 1, maxNewTokens: 16 };
    const { output, events } = await run({ objective, sampling, reference: 'initial' });
    using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
    for (const pair of [1, 2].flatMap((t) => ledger.pairs(t))) {
      const { responses } = ledger.pairLineage(pair.pairId) ?? { responses: [] };
      expect(pair.response).toBe(responses[1]?.text);
    }
    const samplers = (iteration: number) =>
      new Set(ledger.responses(iteration).map(({ samplerSha256 }) => samplerSha256));
    const [initial] = samplers(1);
    expect(samplers(1).size).toBe(1);
    expect(samplers(2).size).toBe(2);
    expect(samplers(2)).toContain(initial);
    // ln 2 and alpha log pi_ref of the reference's sample, which is below 0.
    expect(lossesOf(events, 1)[0]).toBeLessThan(Math.LN2);
  });

  it.each([
    [{ kind: 'sppo', beta: 0.01, targets: 'hard' }, 1 / (2 * 0.01 ** 2)],
    [{ kind: 'kto', beta: 0.1 }, 0.5],
  ])('with the loss %j begins at %d', async (preference, first) => {
    const { events } = await run({ iterations: 1, objective: { preference, exploration: { kind: 'none' } } });
    expect(Math.abs((lossesOf(events, 1)[0] ?? 0) - first)).toBeLessThan(1e-9);
  });

  it("asks for what the ranker's probabilities say under sppo", async () => {
    const preference = { kind: 'sppo', beta: 0.5 };
    const { output, events } = await run({
      iterations: 1,
      objective: { preference, exploration: { kind: 'none' } },
      training: { batchSize: 64, learningRate: 0.0005 },
    });
    // Two samples: the better one wins (1/2 + sigma(d)) / 2 of the time, the other the rest; targets are 2 (P - 1/2).
    const targets = pairsOf(output, 1).map(
      ({ scoreChosen, scoreRejected }) =>
        2 * ((0.5 + 1 / (1 + Math.exp((scoreRejected ?? 0) - (scoreChosen ?? 0)))) / 2 - 0.5),
    );
    const expected = targets.reduce((sum, target) => sum + 2 * target ** 2, 0) / targets.length;
    expect(lossesOf(events, 1)).toHaveLength(1);
    expect(Math.abs((lossesOf(events, 1)[0] ?? 0) - expected)).toBeLessThan(1e-12);
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
