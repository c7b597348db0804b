/** @file Update rules, and the losses that need more than a pair, each through a whole small run. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openLedger } from '../src/store/ledger.ts';
import { lossesOf, pairsOf, run, stagesOf } from './support/small-run.ts';

const dpo = { kind: 'dpo', beta: 0.1 };

describe('a run', () => {
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

  it('pairs its own samples under the rules diverse and random: the rarest good one over the commonest bad, and any two', async () => {
    const objective = { preference: dpo, exploration: { kind: 'popo', alpha: 0.01 }, chosenLikelihood: 0.5 };
    const sampling = { samples: 4, temperature: 1, maxNewTokens: 16 };
    const settings = { iterations: 1, objective, sampling };
    const diverse = await run({ ...settings, update: 'diverse' });
    const random = await run({ ...settings, update: 'random', pairWeights: 'margin' });
    for (const { output } of [diverse, random]) {
      for (const { chosenFrom, rejectedFrom, scoreChosen, scoreRejected } of pairsOf(output, 1)) {
        expect([chosenFrom.kind, rejectedFrom.kind]).toEqual(['response', 'response']);
        expect(scoreChosen).toBeGreaterThan(scoreRejected ?? Number.POSITIVE_INFINITY);
      }
    }
    // Weights by margin: in proportion to it, 1 on average.
    const weighed = pairsOf(random.output, 1).map(({ scoreChosen, scoreRejected, label }) => ({
      weight: label?.weight ?? Number.NaN,
      margin: (scoreChosen ?? 0) - (scoreRejected ?? 0),
    }));
    const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
    expect(sum(weighed.map(({ weight }) => weight)) / weighed.length).toBeCloseTo(1, 12);
    const perMargin = weighed.map(({ weight, margin }) => weight / margin);
    expect(Math.max(...perMargin) / Math.min(...perMargin)).toBeCloseTo(1, 12);
    expect(Math.max(...weighed.map(({ weight }) => weight))).toBeGreaterThan(1.1);
    using ledger = openLedger(join(diverse.output, 'run.db'), { access: 'read' });
    for (const ranking of ledger.rankings(1)) {
      const pair = ledger.pairs(1).find(({ promptId }) => promptId === ranking.promptId);
      if (pair === undefined) continue;
      const logProbs = new Map(
        ledger
          .responses(1)
          .filter(({ promptId }) => promptId === ranking.promptId)
          .map(({ sampleIndex, logProb, tokenIds }) => [sampleIndex, logProb / tokenIds.length]),
      );
      const better = ranking.order.slice(0, 2).map((index) => logProbs.get(index) ?? Number.NaN);
      expect(logProbs.get(pair.chosenFrom.sampleIndex ?? -1)).toBe(Math.min(...better));
    }
    // ln 2, 0 of popo at the start, and half of the chosen responses' mean negative log-likelihood.
    expect(lossesOf(diverse.events, 1)[0]).toBeGreaterThan(Math.LN2 + 0.1);
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

  it('trains on how sure the ranker is where labels are soft', async () => {
    const settings = { iterations: 1, objective: { preference: dpo, exploration: { kind: 'none' } } };
    const hard = await run(settings);
    const soft = await run({ ...settings, labels: 'soft' });
    for (const { scoreChosen, scoreRejected, label } of pairsOf(soft.output, 1))
      expect(label?.probability).toBeCloseTo(1 / (1 + Math.exp((scoreRejected ?? 0) - (scoreChosen ?? 0))), 12);
    expect(pairsOf(hard.output, 1).every(({ label }) => label === null)).toBe(true);
    const [ofSoft, ofHard] = [lossesOf(soft.events, 1), lossesOf(hard.events, 1)];
    expect([ofSoft[0], ofHard[0]]).toEqual([Math.LN2, Math.LN2]);
    expect(ofSoft.at(-1)).toBeGreaterThan(ofHard.at(-1) ?? 0);
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
});
