/** @file The picture of a benchmark: gain against labels asked, a panel a world, a line a method, means over seeds. */
import { mean } from '../evaluate/statistics.ts';
import type { ComparedGrid, ResultsByWorld } from './comparison.ts';

const COLOURS = ['#444444', '#a0a0a0', '#0b63a5', '#5aa9e6', '#2c8c3c', '#c2560c', '#a01a58', '#7a4fbf', '#b58900'];
const [WIDTH, HEIGHT, COLUMNS] = [230, 190, 4];
const [LEFT, TOP, RIGHT, BOTTOM] = [38, 26, 10, 28];

/** An SVG of the methods that the grid wants drawn. */
export function comparisonPicture(grid: ComparedGrid & { drawn: readonly string[] }, results: ResultsByWorld): string {
  const rows = Math.ceil(grid.worlds.length / COLUMNS);
  const panels = grid.worlds.map(({ name, budget }, index) => {
    const place = `translate(${(index % COLUMNS) * WIDTH},${Math.floor(index / COLUMNS) * HEIGHT})`;
    const lines = grid.drawn.map((method, line) => {
      const curve = curveOf(results.get(name) ?? [], method, budget.labels);
      const points = curve.map(({ labels, gain }) => `${x(labels / budget.labels)},${y(gain)}`).join(' ');
      return `<polyline points="${points}" fill="none" stroke="${COLOURS[line % COLOURS.length]}" stroke-width="1.6"/>`;
    });
    const axis = [0, 0.5, 1].map(
      (gain) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(gain)}" y2="${y(gain)}" stroke="#ddd"/><text x="${LEFT - 6}" y="${y(gain) + 4}" text-anchor="end">${gain}</text>`,
    );
    // The last number ends where its panel's line does: centred on it, that of the last column would be cut off.
    const feet = [0, 1].map(
      (share) =>
        `<text x="${x(share)}" y="${HEIGHT - 10}" text-anchor="${share === 1 ? 'end' : 'middle'}">${share * budget.labels}</text>`,
    );
    return `<g transform="${place}"><text x="${LEFT}" y="16" font-weight="600">${escaped(name)}</text>${[...axis, ...feet, ...lines].join('')}</g>`;
  });
  const legend = grid.drawn.map((method, index) => {
    const place = `translate(${LEFT + (index % COLUMNS) * WIDTH},${rows * HEIGHT + 14 + 18 * Math.floor(index / COLUMNS)})`;
    return `<g transform="${place}"><line x2="18" stroke="${COLOURS[index % COLOURS.length]}" stroke-width="3"/><text x="24" y="4">${escaped(method)}</text></g>`;
  });
  const height = rows * HEIGHT + 20 + 18 * Math.ceil(grid.drawn.length / COLUMNS);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${COLUMNS * WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="11" role="img" aria-label="Share of the possible gain in reward against labels asked, a panel a world"><rect width="100%" height="100%" fill="#fff"/>${[...panels, ...legend].join('\n')}</svg>\n`;
}

function x(share: number): number {
  return LEFT + share * (WIDTH - LEFT - RIGHT);
}

/** Gains below a tenth under the base are drawn at the edge. */
function y(gain: number): number {
  const inside = Math.min(1, Math.max(-0.1, gain));
  return Math.round((TOP + ((1 - inside) / 1.1) * (HEIGHT - TOP - BOTTOM)) * 10) / 10;
}

/** Mean gain over seeds at 17 numbers of labels: of the policy that stood then. */
function curveOf(
  cells: readonly NonNullable<ReturnType<ResultsByWorld['get']>>[number][],
  method: string,
  labels: number,
): { labels: number; gain: number }[] {
  const runs = cells.flatMap((cell) => cell[method] ?? []);
  return Array.from({ length: 17 }, (_, step) => {
    const asked = (labels * step) / 16;
    const gains = runs.map(({ points, best }) => {
      const base = points[0]?.reward ?? Number.NaN;
      const reward = points.findLast((point) => point.labels <= asked)?.reward ?? base;
      return (reward - base) / (best - base);
    });
    return { labels: asked, gain: mean(gains) };
  });
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
