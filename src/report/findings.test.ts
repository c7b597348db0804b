import { describe, expect, test } from 'vitest';
import { fixed, numbersOf, percent, plainInterval, signedInterval, verdicts, warnings } from './findings.ts';
import type { MethodReport, TrainingPoint } from './report-data.ts';
import { methodFixture, reportFixture } from './report-fixture.testing.ts';

/** Warnings of a report on one method, changed. */
function warningsAfter(change: (method: MethodReport) => void): string[] {
  const method = methodFixture('SELM', '', [0.34, 0.58]);
  change(method);
  return warnings(reportFixture({ methods: [method] }));
}

function lastOf(method: MethodReport) {
  const last = method.iterations.at(-1);
  if (last === undefined) throw new RangeError('The fixture has iterations');
  return last.evaluation;
}

function setAll(method: MethodReport, values: Partial<TrainingPoint>): void {
  for (const point of method.training) Object.assign(point, values);
}

describe('verdicts()', () => {
  test('tell a clear gain, an undecided one and a loss apart', () => {
    const methods = [
      methodFixture('up', '', [0.6]),
      methodFixture('same', '', [0.26]),
      methodFixture('down', '', [0.12]),
    ];
    const [up, same, down] = verdicts(reportFixture({ methods }));
    expect(up).toMatch(/^up raised the mean reward by \+0\.\d+ \[\+/);
    expect(same).toMatch(/^same and the base cannot be told apart: .* on 64 prompts, the interval holds 0\.$/);
    expect(down).toMatch(/^down lowered the mean reward by −0\.\d+ \[−/);
  });

  test('compare the last iteration with the one before it by win rate, with n', () => {
    const lastStep = (means: number[]): string | undefined =>
      verdicts(reportFixture({ methods: [methodFixture('SELM', '', means)] })).find((line) => /iteration 2/.test(line));
    expect(lastStep([0.3, 0.6])).toMatch(
      /^SELM's iteration 2 beat iteration 1: win rate 0\.\d+ \[0\.\d+, .*\] on 64 prompts\.$/,
    );
    expect(lastStep([0.6, 0.3])).toContain('lost to iteration 1');
    expect(lastStep([0.45, 0.45])).toContain('cannot be told apart');
    expect(lastStep([0.6])).toBeUndefined();
  });

  test.each([1, 2, 19])('name no winner from %i prompts, and say how many there are and are needed', (prompts) => {
    const data = reportFixture({
      methods: [methodFixture('SELM', '', [0.9]), methodFixture('twin', '', [0.1])],
    });
    for (const evaluation of [data.base, ...data.methods.map(lastOf)]) {
      evaluation.promptIds.forEach((_, index) => {
        evaluation.promptIds[index] = `prompt-${index % prompts}`;
      });
    }
    const sentences = verdicts(data);
    expect(sentences).toHaveLength(3);
    for (const sentence of sentences)
      expect(sentence).toMatch(new RegExp(`^Too few prompts .*: ${prompts} prompts?, and 20 are needed`));
  });

  test('say on how many prompts one method beat another, and that it is one seed', () => {
    const data = reportFixture({ methods: [methodFixture('SELM', '', [0.9]), methodFixture('twin', '', [0.1])] });
    expect(verdicts(data)[2]).toMatch(/^SELM beat twin: .* on 64 prompts, one seed\.$/);
  });
});

describe('warnings()', () => {
  test('are silent about a sound run', () => {
    expect(warningsAfter(() => undefined)).toEqual([]);
  });

  test.each<[string, (method: MethodReport) => void, RegExp]>([
    ['text that breaks', (m) => lastOf(m).textHealth?.fill(0.7), /text got less sound, 0\.97\d to 0\.700/],
    ['growing length', (m) => lastOf(m).lengths.fill(200), /2\.\d times as long/],
    ['shrinking length', (m) => lastOf(m).lengths.fill(9), /0\.1 times as long/],
    ['responses that do not end', (m) => Object.assign(lastOf(m), { finishedShare: 0.2 }), /90\.0 % to 20\.0 %/],
    ['numbers that are not finite', (m) => Object.assign(m.training[3] ?? {}, { loss: Number.NaN }), /not finite/],
    [
      'an over-optimised loss',
      (m) => setAll(m, { loss: 0.01, accuracy: 1 }),
      /iterations 1 and 2: loss under 0\.05 at accuracy 1/,
    ],
    [
      'chosen responses that lose probability',
      (m) => setAll(m, { rewardChosen: -0.5 }),
      /^SELM, iterations 1 and 2: the chosen responses lose probability too \(reward −0\.50, −0\.50\)/m,
    ],
    [
      'responses without a token',
      (m) => lastOf(m).lengths.fill(0, 0, 32),
      /25\.0 % of the responses of SELM are empty/,
    ],
    [
      'many prompts without a pair',
      (m) => Object.assign(m.pairs[0] ?? {}, { skipped: [{ reason: 'equal texts', count: 250 }] }),
      /iteration 1: 50\.0 % of the prompts gave no pair/,
    ],
    [
      'a mean that a few prompts carry',
      (m) => {
        const { rewards } = lastOf(m);
        rewards.fill(0.1).fill(1, 0, 40);
      },
      /mean reward rose but the win rate is/,
    ],
  ])('name %s', (_, change, message) => {
    expect(warningsAfter(change).join('\n')).toMatch(message);
  });
});

test('numbersOf() starts every method at the same base, which has no win rate and no KL', () => {
  const [selm, twin] = numbersOf(reportFixture());
  expect(selm?.policies[0]).toEqual(twin?.policies[0]);
  expect(selm?.policies[0]).toMatchObject({ iteration: 0, winRate: null, klToBase: null });
  expect(selm?.policies.map(({ iteration }) => iteration)).toEqual([0, 1, 2, 3]);
});

test('numbers are written with a true minus, without a signed zero, and n/a where there is none', () => {
  expect([fixed(-1.25, 1), fixed(-0.0001, 2), fixed(Number.NaN, 2)]).toEqual(['−1.3', '0.00', 'n/a']);
  expect(signedInterval({ value: 0.1, low: -0.2, high: 0, count: 3 }, 1)).toBe('+0.1 [−0.2, 0.0]');
  expect(plainInterval({ value: 0.5, low: 0.25, high: 0.75, count: 3 }, 2)).toBe('0.50 [0.25, 0.75]');
  expect([percent(0.123), percent(Number.NaN)]).toEqual(['12.3 %', 'n/a']);
});
