import { describe, expect, test } from 'vitest';
import { histogramChart, lineChart, runningMean, thinned } from './charts.ts';

const points = (...ys: number[]) => ys.map((y, x) => ({ x, y }));
const text = { title: 'Loss', description: 'of a test', xLabel: 'step', yLabel: 'loss' };

describe('runningMean()', () => {
  test('leaves a constant exactly constant', () => {
    const constant = points(...new Array<number>(300).fill(0.1));
    expect(runningMean(constant)).toEqual(constant);
  });

  test('averages a value with its neighbours', () => {
    expect(runningMean(points(0, 3, 6, 0)).map(({ y }) => y)).toEqual([1.5, 3, 3, 3]);
  });

  test('lets a value that is not finite spoil only itself', () => {
    expect(runningMean(points(1, Number.NaN, 3)).map(({ y }) => y)).toEqual([1, Number.NaN, 3]);
  });
});

describe('thinned()', () => {
  const long = points(
    ...Array.from({ length: 10_000 }, (_, index) => (index === 7777 ? 100 : index === 3333 ? -100 : index % 7)),
  );

  test('keeps every extreme and the last point', () => {
    const kept = thinned(long);
    expect(kept.length).toBeLessThan(420);
    expect(kept).toContainEqual({ x: 7777, y: 100 });
    expect(kept).toContainEqual({ x: 3333, y: -100 });
    expect(kept.at(-1)).toEqual(long.at(-1));
  });

  test('keeps the order', () => {
    const xs = thinned(long).map(({ x }) => x);
    expect(xs).toEqual([...xs].sort((a, b) => a - b));
  });
});

describe('lineChart()', () => {
  test('places points by value: higher is further up', () => {
    const { text: svg } = lineChart({ ...text, series: [{ name: 'a', color: 1, points: points(0, 1) }] });
    const heights = [...svg.matchAll(/<circle[^>]* cy="([\d.]+)"/g)].map((match) => Number(match[1]));
    expect(heights).toEqual([208, 14]); // the bottom and the top of the plot
  });

  test('breaks the line at a value that is not finite', () => {
    const { text: svg } = lineChart({
      ...text,
      series: [{ name: 'a', color: 1, points: points(0, 1, Number.NaN, 1, 0) }],
    });
    expect(svg.match(/<path class="line c1" d="([^"]*)"/)?.[1]?.match(/M/g)).toHaveLength(2);
    expect(svg).not.toContain('NaN');
  });

  test('draws interval bars only where an interval is given', () => {
    const { text: svg } = lineChart({
      ...text,
      series: [
        {
          name: 'a',
          color: 1,
          points: [
            { x: 0, y: 1, low: 0.5, high: 1.5 },
            { x: 1, y: 1 },
          ],
        },
      ],
    });
    expect(svg.match(/class="bar c1"/g)).toHaveLength(1);
  });

  test('breaks a trace at its marks, and averages over none of them', () => {
    const { text: svg } = lineChart({
      ...text,
      style: 'trace',
      marks: [1.5],
      yRange: { low: 0, high: 1 },
      series: [{ name: 'a', color: 1, points: points(0, 0, 1, 1) }],
    });
    const strong = svg.match(/<path class="line c1" d="([^"]*)"/)?.[1] ?? '';
    expect([...strong.matchAll(/ ([\d.]+)/g)].map((match) => match[1])).toEqual(['208', '208', '14', '14']);
  });

  test.each([[[]], [[{ x: 0, y: Number.NaN }]]])('says that nothing was measured instead of drawing %j', (nothing) => {
    const { text: html } = lineChart({ ...text, series: [{ name: 'a', color: 1, points: nothing }] });
    expect(html).toContain('Nothing was measured');
    expect(html).not.toContain('<svg');
  });

  test.each([[[0.5, 0.5]], [[0, 0]], [[-3, -3]], [[1e-9, 2e-9]], [[1e9, 3e9]], [[-1, 1]]])(
    'has ticks that are numbers and in the plot for %j',
    (ys) => {
      const { text: svg } = lineChart({ ...text, series: [{ name: 'a', color: 1, points: points(...ys) }] });
      const ticks = [...svg.matchAll(/class="grid"[^>]*y1="([\d.]+)" y2="[\d.]+"\/><text[^>]*>([^<]*)</g)];
      expect(ticks.length).toBeGreaterThanOrEqual(2);
      expect(new Set(ticks.map((tick) => tick[2])).size).toBe(ticks.length); // no two ticks read the same
      for (const [, height, tick] of ticks) {
        expect(Number(height)).toBeGreaterThanOrEqual(14);
        expect(Number(height)).toBeLessThanOrEqual(208);
        expect(Number(tick?.replace('−', '-'))).not.toBeNaN();
      }
    },
  );
});

test('histogramChart() draws every share and fills the base', () => {
  const series = [
    { name: 'base', color: 0, shares: [0.5, 0.5] },
    { name: 'SELM', color: 1, shares: [0, 1] },
  ];
  const { text: svg } = histogramChart({ ...text, low: 0, high: 1, series });
  expect(svg).toContain('class="step c0 filled"');
  expect(svg.match(/class="step c1"[^>]*d="([^"]*)"/)?.[1]).toMatch(
    /^M(\S+) 208L\1 208L253 208L253 ([\d.]+)L446 \2L446 208$/,
  );
});

test('lineChart() leaves room for its widest number beside the title of the axis', () => {
  const chart = (scale: number): string =>
    lineChart({ ...text, series: [{ name: 'a', color: 1, points: [1, 2, 3].map((x) => ({ x, y: x * scale })) }] }).text;
  const numbers = (svg: string): number => Number(/<text x="([\d.]+)"[^>]*text-anchor="end"/.exec(svg)?.[1]);
  const widest = (svg: string): number =>
    Math.max(...[...svg.matchAll(/text-anchor="end">([^<]*)</g)].map((match) => (match[1] ?? '').length));
  for (const scale of [1, 1e-5, 123_456]) {
    // The title stands at 13, half of 13 wide; a character is at most 6.6 wide at this size.
    expect(numbers(chart(scale)) - 6.6 * widest(chart(scale))).toBeGreaterThanOrEqual(19);
  }
});

test('lineChart() writes the label of a reference where the lines are not', () => {
  const chart = (y: (x: number) => number): string =>
    lineChart({
      ...text,
      yRange: { low: 0, high: 1 },
      reference: { y: 0.5, label: 'half' },
      series: [{ name: 'a', color: 1, points: Array.from({ length: 50 }, (_, x) => ({ x, y: y(x) })) }],
    }).text;
  const label = (svg: string): string | undefined => /<text class="small"[^>]*>half/.exec(svg)?.[0];
  // A line that starts at the reference and falls away: the label stands on the far side, or over it.
  const [rising, falling] = [label(chart((x) => 0.5 + x / 1000)), label(chart((x) => 0.5 - x / 1000))];
  const baseline = (tag: string | undefined): number => Number(/ y="([\d.]+)"/.exec(tag ?? '')?.[1]);
  const line = 14 + (250 - 42 - 14) / 2;
  expect(baseline(rising)).toBeGreaterThan(line);
  expect(baseline(falling)).toBeLessThan(line);
});
