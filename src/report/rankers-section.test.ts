import { describe, expect, test } from 'vitest';
import { opinionLines, opinionsSection } from './rankers-section.ts';
import { renderReport } from './report.ts';
import type { OpinionReport, RankerReport } from './report-data.ts';
import { reportFixture } from './report-fixture.testing.ts';
import { summariseReport } from './summary.ts';

const idle: RankerReport = {
  name: 'reward.ts',
  prompts: 40,
  problems: 0,
  orders: [],
  calls: 0,
  promptTokens: 0,
  completionTokens: 0,
};
const judge: RankerReport = {
  name: 'judge gpt-test',
  prompts: 20,
  problems: 3,
  // One of four comparisons of each prompt has orders that disagree.
  orders: Array.from({ length: 17 }, () => ({ count: 3, of: 4 })),
  calls: 170,
  promptTokens: 12_345,
  completionTokens: 678,
};
const agree = [
  [2, 0, 0],
  [0, 0, 0],
  [0, 0, 1],
];
const differ = [
  [1, 0, 1],
  [0, 0, 0],
  [1, 0, 0],
];
const opinions: OpinionReport = { rankers: [idle, judge], drawn: [agree, agree, differ], doubt: [differ] };

describe('the rankers in a report', () => {
  test('are two tables: agreement with n and interval, and what each ranker did', () => {
    const html = renderReport(reportFixture({ opinions }));
    // 7 of 9 comparisons of three prompts drawn; 1 of 3 in doubt.
    expect(html).toMatch(/drawn at random<\/td><td>3<\/td><td>9<\/td><td>0\.778 \[/);
    expect(html).toMatch(/in doubt<\/td><td>1<\/td><td>3<\/td><td>0\.333 \[/);
    expect(html).toMatch(
      /judge gpt-test<\/td><td>20<\/td><td>3<\/td><td>0\.750 \[0\.750, 0\.750\] of 68<\/td><td>170<\/td><td>12345 \+ 678</,
    );
  });

  test('are at most three lines of a terminal', () => {
    const lines = opinionLines(reportFixture({ opinions }));
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(
      /^Rankers, drawn at random: 78 % \[33, 100\] of 9 verdicts, kappa 0\.\d\d .*, AC1 0\.\d\d .*, n = 3 prompts$/,
    );
    expect(lines[2]).toBe('judge gpt-test: orders agree on 75 % [75, 75] of comparisons, n = 17 prompts');
    const summary = summariseReport(reportFixture({ opinions })).split('\n');
    expect(summary.filter((line) => line.includes('Rankers,'))).toHaveLength(2);
    expect(Math.max(...summary.map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  test('are left out where there is one ranker that says nothing of itself', () => {
    expect(opinionsSection(reportFixture())).toBeNull();
    expect(opinionLines(reportFixture())).toEqual([]);
  });

  test('say that nothing was compared where the draw took no prompt', () => {
    const none = reportFixture({ opinions: { ...opinions, drawn: [], doubt: [] } });
    expect(opinionsSection(none)?.text).toContain('drawn at random</td><td>0</td><td>0</td>');
    expect(opinionLines(none)).toHaveLength(1);
  });
});
