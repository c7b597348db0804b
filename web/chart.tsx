/** @file One chart: curves of one or several runs over steps or iterations, drawn by uPlot on a canvas. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { Curve } from '../src/server/api.ts';
import { short } from './format.ts';

/** A curve, whose it is, and how it is told apart: runs by colour, names by dashes. */
export interface Line extends Curve {
  label: string;
  color: number;
  dash: number;
}

export interface ChartProps {
  title: string;
  lines: readonly Line[];
  over: 'step' | 'iteration';
  marks: readonly number[];
  scale: 'linear' | 'log';
}

const HEIGHT = 210;
const DASHES: readonly number[][] = [[], [6, 4], [2, 3]];
const dark = matchMedia('(prefers-color-scheme: dark)');

export function Chart({ title, lines, over, marks, scale }: ChartProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = useTheme();
  const shape = JSON.stringify([lines.map(({ label, color, dash }) => [label, color, dash]), over, scale, theme]);
  const marksNow = useRef(marks);
  marksNow.current = marks;

  // `shape` is what a plot is made of; data come below
  useEffect(() => {
    const folder = place.current;
    if (folder === null) return;
    const made = new uPlot(
      optionsOf({ lines, over, scale }, folder.clientWidth, () => marksNow.current),
      dataOf(lines),
      folder,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: folder.clientWidth, height: HEIGHT }));
    resized.observe(folder);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(dataOf(lines));
  }, [lines]);

  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div ref={place} role="img" aria-label={described(title, lines, over)} />
      <ul class="legend">
        {lines.map(({ label, color, dash, y }) => (
          <li key={label}>
            <svg class={`key c${color}`} viewBox="0 0 24 6" aria-hidden="true">
              <line x1="0" x2="24" y1="3" y2="3" stroke-dasharray={(DASHES[dash % 3] ?? []).join(' ')} />
            </svg>
            {label} <b>{short(lastOf(y))}</b>
          </li>
        ))}
      </ul>
    </figure>
  );
}

/** Whether the page is dark; a canvas does not follow the style sheet by itself. */
function useTheme(): boolean {
  const [isDark, setDark] = useState(dark.matches);
  useEffect(() => {
    const change = (): void => setDark(dark.matches);
    dark.addEventListener('change', change);
    return () => dark.removeEventListener('change', change);
  }, []);
  return isDark;
}

function optionsOf(
  { lines, over, scale }: Pick<ChartProps, 'lines' | 'over' | 'scale'>,
  width: number,
  marks: () => readonly number[],
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string): string => style.getPropertyValue(name).trim();
  const axis = {
    stroke: color('--soft'),
    font: '12px system-ui',
    grid: { stroke: color('--grid'), width: 1 },
    ticks: { show: false },
  };
  const points = over === 'iteration';
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { sync: { key: over }, points: { size: 6 } },
    scales: { x: { time: false, ...(points ? { range: padded } : {}) }, y: scale === 'log' ? { distr: 3 } : {} },
    axes: [
      {
        ...axis,
        size: 30,
        ...(points ? { incrs: [1, 2, 5, 10, 20, 50, 100] } : {}),
        values: (_, ticks) => ticks.map((tick) => short(tick)),
      },
      { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : short(tick))) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: color(`--c${line.color}`),
        width: 1.6,
        dash: DASHES[line.dash % DASHES.length] ?? [],
        points: { show: points, size: 7, fill: color(`--c${line.color}`) },
        spanGaps: false,
      })),
    ],
    hooks: { drawAxes: [(plot) => drawMarks(plot, marks(), color('--rule'))] },
  };
}

/** Room at both sides, so that the first and the last point stand free. */
function padded(_: uPlot, low: number, high: number): [number, number] {
  return [low - 0.3, high + 0.3];
}

/** Where an iteration begins. */
function drawMarks(plot: uPlot, marks: readonly number[], color: string): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = color;
  ctx.setLineDash([4, 4]);
  for (const mark of marks) {
    const x = Math.round(plot.valToPos(mark + 0.5, 'x', true)) + 0.5;
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

/** The lines on one axis; where another line has a point and this one has none, it goes on. */
function dataOf(lines: readonly Line[]): uPlot.AlignedData {
  const tables = lines.map(({ x, y }): uPlot.AlignedData => [x, y]);
  return tables.length === 0
    ? [[]]
    : uPlot.join(
        tables,
        tables.map(() => [2, 2]),
      );
}

function lastOf(y: readonly (number | null)[]): number | null {
  return y.findLast((value) => value !== null) ?? null;
}

/** What the chart shows, for who cannot see it. */
function described(title: string, lines: readonly Line[], over: string): string {
  const each = lines.map(({ label, x, y }) => {
    const values = y.flatMap((value) => value ?? []);
    if (values.length === 0) return `${label}: nothing yet`;
    const range = `from ${short(values[0])} to ${short(values.at(-1))}, lowest ${short(Math.min(...values))}, highest ${short(Math.max(...values))}`;
    return `${label}: ${range}, until ${over} ${x.at(-1)}`;
  });
  return `${title} by ${over}. ${each.join('. ')}`;
}
