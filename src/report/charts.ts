/**
 * @file Charts as inline SVG: lines with interval bars, raw traces with a running mean, histograms. No script, colours
 * only by class (the page's style sheet has them for light and dark), a title and a description for screen readers, and
 * the marker's shape tells series apart without colour. Values that are not finite are not drawn; the line breaks there.
 */
import { fixed } from './findings.ts';
import { type Markup, type MarkupValue, markup } from './markup.ts';

/** A point; `low` and `high` draw an interval bar. */
export interface ChartPoint {
  x: number;
  y: number;
  low?: number | undefined;
  high?: number | undefined;
  /** Shown by the browser when the pointer rests on it. */
  note?: string | undefined;
}

/** A line of a chart. `color` 0 is the base, 1, 2, ... the methods. */
export interface Series {
  name: string;
  color: number;
  points: ChartPoint[];
}

export interface LineChartOptions extends AxisText {
  title: string;
  /** One sentence for who cannot see it: what is plotted and what it shows. */
  description: string;
  series: Series[];
  /** Fixes the vertical range. @default from the data */
  yRange?: { low: number; high: number } | undefined;
  /** A dashed line with its meaning, e.g. one half for win rates. */
  reference?: { y: number; label: string };
  /** Ticks at these places. @default chosen from the data */
  xTicks?: number[];
  /** Markers and bars at each point, a faint trace with a running mean, or the plain line. @default 'points' */
  style?: 'points' | 'trace' | 'line';
  /** Vertical lines, e.g. where an iteration begins. */
  marks?: number[];
  /** The text in place of a chart without points. @default 'Nothing was measured' */
  whenEmpty?: string;
}

const WIDTH = 460;
const HEIGHT = 250;
const PLOT = { right: 14, top: 14, bottom: 42 };
/** Room for the vertical axis: its title, and for each character of its widest number. */
const TITLE_WIDTH = 27;
const CHARACTER_WIDTH = 6.6;
/** More points than this in a trace are drawn as the lowest and highest of each column. */
const MOST_POINTS = 400;

/** A chart of lines over a number. */
export function lineChart(options: LineChartOptions): Markup {
  const { series, reference, style = 'points', marks = [] } = options;
  const points = series.flatMap((line) => line.points).filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
  if (points.length === 0) return emptyChart(options.title, options.whenEmpty ?? 'Nothing was measured');
  const ys = points.flatMap(({ y, low = y, high = y }) => [y, low, high]).filter(Number.isFinite);
  const yAxis = axis(
    options.yRange ?? rangeOf([...ys, ...(reference === undefined ? [] : [reference.y])]),
    [HEIGHT - PLOT.bottom, PLOT.top],
    options.yRange !== undefined,
  );
  const xRange = rangeOf(points.map(({ x }) => x));
  const pad = style === 'points' ? (xRange.high - xRange.low || 1) * 0.06 : 0;
  const xAxis = axis(
    { low: xRange.low - pad, high: xRange.high + pad },
    [plotLeft(yAxis, options.yTick), WIDTH - PLOT.right],
    true,
    options.xTicks,
  );
  const lines = series.map((line, index) => {
    const shift = style === 'points' ? (index - (series.length - 1) / 2) * 5 : 0; // bars of two series must not hide each other
    return style === 'points'
      ? pointsOf(line, xAxis, yAxis, shift)
      : traceOf(line, xAxis, yAxis, { marks, strong: style === 'trace' ? runningMean : (part) => part });
  });
  return figure(options, [
    marks.map(
      (x) =>
        markup`<line class="mark" x1="${at(xAxis, x)}" x2="${at(xAxis, x)}" y1="${PLOT.top}" y2="${HEIGHT - PLOT.bottom}"/>`,
    ),
    axes(xAxis, yAxis, options),
    reference === undefined ? null : referenceLine(reference, points, xAxis, yAxis),
    lines,
  ]);
}

/** Height of a small label over or under a line, and the share of the width that it may cover. */
const LABEL_HEIGHT = 16;
const LABEL_SHARE = 0.35;

/** A dashed line across, and its label at that of four places (left or right, over or under) where the fewest points lie. */
function referenceLine(
  { y, label }: { y: number; label: string },
  points: readonly ChartPoint[],
  xAxis: Axis,
  yAxis: Axis,
): Markup {
  const line = Number(at(yAxis, y));
  const places = (['end', 'start'] as const).flatMap((anchor) =>
    [-1, 1].map((side) => {
      const covered = points.filter((point) => {
        const share = (Number(at(xAxis, point.x)) - xAxis.from) / (xAxis.to - xAxis.from);
        const isBeside = anchor === 'end' ? share > 1 - LABEL_SHARE : share < LABEL_SHARE;
        const below = (Number(at(yAxis, point.y)) - line) * side;
        return isBeside && below > -4 && below < LABEL_HEIGHT;
      });
      const baseline = line + (side < 0 ? -5 : 13);
      const isInside = baseline > PLOT.top + 8 && baseline < HEIGHT - PLOT.bottom - 2;
      return { anchor, baseline, cost: covered.length + (isInside ? 0 : points.length + 1) };
    }),
  );
  const best = places.reduce((least, place) => (place.cost < least.cost ? place : least));
  const x = best.anchor === 'end' ? xAxis.to - 2 : xAxis.from + 2;
  return markup`<line class="reference" x1="${round(xAxis.from)}" x2="${round(xAxis.to)}" y1="${at(yAxis, y)}" y2="${at(yAxis, y)}"/><text class="small" x="${round(x)}" y="${round(best.baseline)}" text-anchor="${best.anchor}">${label}</text>`;
}

export interface HistogramChartOptions {
  title: string;
  description: string;
  xLabel: string;
  yLabel: string;
  low: number;
  high: number;
  /** Shares in [0, 1], one a bin, all series with the same bins. */
  series: { name: string; color: number; shares: number[] }[];
}

/** Outlined histograms over each other: steps, the base filled. */
export function histogramChart(options: HistogramChartOptions): Markup {
  const { series, low, high } = options;
  const top = Math.max(...series.flatMap(({ shares }) => shares), 0);
  if (!(top > 0)) return emptyChart(options.title, 'Nothing was measured');
  const yAxis = axis({ low: 0, high: top * 1.05 }, [HEIGHT - PLOT.bottom, PLOT.top], true);
  const yTick = (y: number): string => `${fixed(100 * y, y < 0.1 && yAxis.step < 0.01 ? 1 : 0)} %`;
  const xAxis = axis({ low, high }, [plotLeft(yAxis, yTick), WIDTH - PLOT.right], true);
  const steps = series.map(({ shares, color, name }) => {
    const edge = (bin: number) => at(xAxis, low + ((high - low) * bin) / shares.length);
    const outline = shares.map(
      (share, bin) => `L${edge(bin)} ${at(yAxis, share)}L${edge(bin + 1)} ${at(yAxis, share)}`,
    );
    const path = `M${edge(0)} ${at(yAxis, 0)}${outline.join('')}L${edge(shares.length)} ${at(yAxis, 0)}`;
    return markup`<path class="step c${color}${color === 0 ? ' filled' : ''}" d="${path}"><title>${name}</title></path>`;
  });
  return figure(options, [axes(xAxis, yAxis, { ...options, yTick }), steps]);
}

/** The names of the series with their marker, once for a group of charts. */
export function legend(series: { name: string; color: number }[]): Markup {
  const items = series.map(
    ({ name, color }) =>
      markup`<li><svg class="key" viewBox="0 0 28 12" aria-hidden="true"><line class="line c${color}" x1="1" x2="27" y1="6" y2="6"/>${marker(color, 14, 6, null)}</svg>${name}</li>`,
  );
  return markup`<ul class="legend">${items}</ul>`;
}

interface Axis {
  low: number;
  high: number;
  from: number;
  to: number;
  step: number;
  ticks: number[];
}

/** An axis over at least `range`, with round ticks; `exact` keeps its ends. */
function axis(
  range: { low: number; high: number },
  [from, to]: [number, number],
  exact: boolean,
  ticks?: number[],
): Axis {
  let { low, high } = range;
  if (!(high > low)) [low, high] = [low - (Math.abs(low) * 0.1 || 0.5), high + (Math.abs(high) * 0.1 || 0.5)];
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw) ?? 10);
  if (!exact) {
    low = Math.floor(low / step) * step;
    high = Math.ceil(high / step) * step;
  }
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return {
    low,
    high,
    from,
    to,
    step,
    ticks: ticks ?? Array.from({ length: count }, (_, index) => (first + index) * step),
  };
}

function at({ low, high, from, to }: Axis, value: number): string {
  return round(from + ((value - low) / (high - low)) * (to - from));
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function rangeOf(values: number[]): { low: number; high: number } {
  return values.reduce(({ low, high }, value) => ({ low: Math.min(low, value), high: Math.max(high, value) }), {
    low: Number.POSITIVE_INFINITY,
    high: Number.NEGATIVE_INFINITY,
  });
}

/** Digits that tell the ticks of an axis apart; powers of ten where they are tiny or huge. */
function tickText(value: number, step: number): string {
  if (Math.abs(value) < step / 1e6) return '0';
  if (step < 1e-4 || step >= 1e6) return value.toExponential(1).replace('.0e', 'e').replace('-', '−');
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)));
  const enough = Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6 ? digits + 1 : digits; // steps of 2.5
  return fixed(value, enough);
}

/** What stands at the axes. */
export interface AxisText {
  xLabel: string;
  yLabel: string;
  /** Text of a tick. @default the number */
  xTick?: (x: number) => string;
  yTick?: (y: number) => string;
}

/** Where the plot begins, so that the widest number of the vertical axis has room beside the axis' title. */
function plotLeft(yAxis: Axis, yTick: (y: number) => string = (y) => tickText(y, yAxis.step)): number {
  const widest = Math.max(...yAxis.ticks.map((y) => yTick(y).length));
  return Math.max(56, TITLE_WIDTH + CHARACTER_WIDTH * widest);
}

function axes(xAxis: Axis, yAxis: Axis, text: AxisText): Markup {
  const bottom = HEIGHT - PLOT.bottom;
  const horizontal = yAxis.ticks.map(
    (y) =>
      markup`<line class="grid" x1="${round(xAxis.from)}" x2="${round(xAxis.to)}" y1="${at(yAxis, y)}" y2="${at(yAxis, y)}"/><text x="${round(xAxis.from - 7)}" y="${round(Number(at(yAxis, y)) + 4)}" text-anchor="end">${text.yTick?.(y) ?? tickText(y, yAxis.step)}</text>`,
  );
  const vertical = xAxis.ticks.map((x) => {
    const tick = text.xTick?.(x) ?? tickText(x, xAxis.step);
    const half = (tick.length * CHARACTER_WIDTH) / 2;
    const middle = Math.max(half, Math.min(Number(at(xAxis, x)), WIDTH - half)); // a long name at an end stays inside
    return markup`<text x="${round(middle)}" y="${bottom + 16}" text-anchor="middle">${tick}</text>`;
  });
  const middleY = (PLOT.top + bottom) / 2;
  return markup`${horizontal}${vertical}<line class="axis" x1="${round(xAxis.from)}" x2="${round(xAxis.to)}" y1="${bottom}" y2="${bottom}"/><text class="label" x="${round((xAxis.from + xAxis.to) / 2)}" y="${HEIGHT - 8}" text-anchor="middle">${text.xLabel}</text><text class="label" x="13" y="${middleY}" text-anchor="middle" transform="rotate(-90 13 ${middleY})">${text.yLabel}</text>`;
}

function pointsOf({ points, color, name }: Series, xAxis: Axis, yAxis: Axis, shift: number): Markup {
  const placed = points.map((point) => ({ ...point, left: Number(at(xAxis, point.x)) + shift }));
  const bars = placed.flatMap(({ left, low, high, y }) =>
    low === undefined || high === undefined || ![low, high, y].every(Number.isFinite)
      ? []
      : [
          markup`<path class="bar c${color}" d="M${round(left)} ${at(yAxis, low)}V${at(yAxis, high)}M${round(left - 3)} ${at(yAxis, low)}h6M${round(left - 3)} ${at(yAxis, high)}h6"/>`,
        ],
  );
  const markers = placed.flatMap(({ left, y, note }) =>
    Number.isFinite(y) ? [marker(color, left, Number(at(yAxis, y)), note ?? `${name}: ${fixed(y, 3)}`)] : [],
  );
  return markup`<path class="line c${color}" d="${pathOf(
    placed.map(({ left, y }) => [left, y]),
    yAxis,
  )}"/>${bars}${markers}`;
}

/** The steps faintly, `strong` of them strongly; both break at `marks`, for what stands there is not one curve. */
function traceOf(
  { points, color, name }: Series,
  xAxis: Axis,
  yAxis: Axis,
  { marks, strong }: { marks: readonly number[]; strong: (part: ChartPoint[]) => ChartPoint[] },
): Markup {
  const place = ({ x, y }: ChartPoint): [number, number] => [Number(at(xAxis, x)), y];
  const starts = [Number.NEGATIVE_INFINITY, ...marks];
  const parts = starts.map((start, index) =>
    points.filter(({ x }) => x >= start && x < (marks[index] ?? Number.POSITIVE_INFINITY)),
  );
  const path = (draw: (part: ChartPoint[]) => ChartPoint[]) =>
    parts.map((part) => pathOf(thinned(draw(part)).map(place), yAxis)).join('');
  return markup`<path class="line raw c${color}" d="${path((part) => part)}"/><path class="line c${color}" d="${path(strong)}"><title>${name}</title></path>`;
}

/** An SVG path that breaks where a value is not finite. */
function pathOf(points: [number, number][], yAxis: Axis): string {
  let path = '';
  let pen = 'M';
  for (const [left, y] of points) {
    if (!Number.isFinite(y)) pen = 'M';
    else {
      path += `${pen}${round(left)} ${at(yAxis, y)}`;
      pen = 'L';
    }
  }
  return path;
}

/** Mean of the neighbours, about a twelfth of the points wide; constants stay constant, and values that are not finite stay out. */
export function runningMean(points: readonly ChartPoint[]): ChartPoint[] {
  const reach = Math.max(1, Math.floor(points.length / 25));
  return points.map((point, index) => {
    const near = points.slice(Math.max(0, index - reach), index + reach + 1).filter(({ y }) => Number.isFinite(y));
    const first = near[0]?.y ?? Number.NaN;
    const offset = near.reduce((total, { y }) => total + (y - first), 0) / near.length; // exact for constants
    return { x: point.x, y: Number.isFinite(point.y) ? first + offset : point.y };
  });
}

/** At most about MOST_POINTS points, keeping the lowest and the highest of each stretch, and the last. */
export function thinned(points: readonly ChartPoint[]): ChartPoint[] {
  if (points.length <= MOST_POINTS) return [...points];
  const stretch = Math.ceil((2 * points.length) / MOST_POINTS);
  const kept: ChartPoint[] = [];
  for (let start = 0; start < points.length; start += stretch) {
    const part = points.slice(start, start + stretch);
    const byValue = [...part].sort((a, b) => a.y - b.y);
    const ends = [byValue[0], byValue.at(-1), start + stretch >= points.length ? part.at(-1) : undefined];
    kept.push(...part.filter((point) => ends.includes(point)));
  }
  return kept;
}

/** Circle, square, triangle, diamond by series: readable without colour. */
function marker(color: number, x: number, y: number, note: string | null): Markup {
  const title = note === null ? null : markup`<title>${note}</title>`;
  switch (color % 4) {
    case 1:
      return markup`<circle class="marker c${color}" cx="${round(x)}" cy="${round(y)}" r="4">${title}</circle>`;
    case 2:
      return markup`<rect class="marker c${color}" x="${round(x - 3.6)}" y="${round(y - 3.6)}" width="7.2" height="7.2">${title}</rect>`;
    case 3:
      return markup`<path class="marker c${color}" d="M${round(x)} ${round(y - 4.6)}l4.4 8h-8.8z">${title}</path>`;
    default:
      return markup`<path class="marker c${color}" d="M${round(x)} ${round(y - 5)}l5 5l-5 5l-5 -5z">${title}</path>`;
  }
}

function figure({ title, description }: { title: string; description: string }, content: MarkupValue): Markup {
  return markup`<figure><figcaption>${title}</figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}: ${description}">${content}</svg></figure>`;
}

function emptyChart(title: string, reason: string): Markup {
  return markup`<figure><figcaption>${title}</figcaption><p class="empty">${reason}</p></figure>`;
}
