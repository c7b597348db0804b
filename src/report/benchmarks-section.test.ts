import { describe, expect, it } from 'vitest';
import type { BenchmarkScores } from '../store/benchmark-scores.ts';
import { benchmarkLines, benchmarksSection } from './benchmarks-section.ts';
import type { ReportData } from './report-data.ts';
import { reportFixture } from './report-fixture.testing.ts';
import { summariseReport } from './summary.ts';

/** A model that answers the first `right` of `count` items. */
function scored(right: number, count: number, changes: Partial<BenchmarkScores> = {}): BenchmarkScores {
  const value = right / count;
  return {
    benchmark: 'arc_challenge',
    title: 'ARC-Challenge',
    shots: 25,
    basis: null,
    mainMetric: 'acc_norm',
    metrics: { acc_norm: { value, standardError: 0.1, low: value - 0.1, high: value + 0.1, count } },
    unusable: [],
    cutItems: 0,
    lines: Array.from({ length: count }, (_, i) => i + 1),
    scores: { acc_norm: Array.from({ length: count }, (_, i) => (i < right ? 1 : 0)) },
    ...changes,
  };
}

/** A report of a run whose base and first iteration have these scores. */
function reportOf(base: BenchmarkScores | null, last: BenchmarkScores): ReportData {
  const data = reportFixture();
  const [method] = data.methods;
  if (method === undefined) throw new Error('The fixture has a method');
  const benchmarks = [...(base === null ? [] : [{ iteration: 0, scores: [base] }]), { iteration: 1, scores: [last] }];
  return { ...data, methods: [{ ...method, benchmarks }] };
}

describe('the benchmarks of a report', () => {
  it('show each model with interval and n, and its change against the base by the same items', () => {
    const text = benchmarksSection(reportOf(scored(20, 40), scored(30, 40)))?.text ?? '';
    expect(text).toMatch(/<td>base<\/td><td>0\.500 <span class="hint">\[0\.400, 0\.600\], n = 40<\/span><\/td>/);
    expect(text).toMatch(/iteration 1<\/td><td>0\.750 .*\+0\.250 \[\+0\.\d+, \+0\.\d+\] vs base/);
  });

  it('are no section where none was asked', () => {
    expect(benchmarksSection(reportFixture())).toBeNull();
    expect(benchmarkLines(reportFixture())).toEqual([]);
  });

  it('say better or worse of the base in the terminal only where the interval leaves out 0, with n', () => {
    expect(benchmarkLines(reportOf(scored(20, 40), scored(30, 40)))).toEqual([
      expect.stringMatching(
        /^SELM, it\. 1, ARC-Challenge: 0\.750 .*, n = 40; better than the base by \+0\.250 \[.*\]$/,
      ),
    ]);
    expect(benchmarkLines(reportOf(scored(20, 40), scored(5, 40)))[0]).toContain('worse than the base by −0.375');
    expect(benchmarkLines(reportOf(scored(20, 40), scored(21, 40)))[0]).toContain(
      'cannot be told apart from the base: +0.025',
    );
    expect(benchmarkLines(reportOf(scored(5, 10), scored(10, 10)))[0]).toContain(
      'too few items to say more (20 are needed)',
    );
    expect(benchmarkLines(reportOf(null, scored(20, 40)))[0]).toMatch(/n = 40$/);
  });

  it('compare only items that both models have', () => {
    const last = scored(20, 40, { lines: Array.from({ length: 40 }, (_, i) => i + 21) });
    expect(benchmarkLines(reportOf(scored(20, 40), last))[0]).toContain('better than the base by +1.000');
  });

  it('name rows that are in no number and prompts that were cut, once for all models that they are the same for', () => {
    const flaws = { unusable: [{ line: 3, problem: 'it does not say which choice is right' }], cutItems: 7 };
    const text = benchmarksSection(reportOf(scored(20, 40, flaws), scored(21, 40, flaws)))?.text ?? '';
    expect(text).toContain('1 rows could not be used');
    expect(text).toMatch(/row 3: it does not say which choice is right\): base; SELM, iteration 1\./);
    expect(text).toContain('7 of 40 prompts do not fit');
  });
});

it('a summary stays at 30 lines with many benchmarks, and says how many more there are', () => {
  const scores = Array.from({ length: 12 }, (_, i) => scored(20, 40, { benchmark: `b${i}`, title: `Benchmark ${i}` }));
  const data = reportFixture();
  const methods = data.methods.map((method) => ({ ...method, benchmarks: [{ iteration: 3, scores }] }));
  const lines = summariseReport({ ...data, methods }).split('\n');
  expect(lines.length).toBeLessThanOrEqual(30);
  expect(lines.filter((line) => /\.\.\. and \d+ more benchmark results/.test(line))).toHaveLength(1);
});
