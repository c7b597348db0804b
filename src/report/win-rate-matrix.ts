/**
 * @file A picture of win rates of every model over every other: an SVG file of its own, for light and dark, readable without colour
 * (every cell has its number) and by a screen reader (title, description, and a title for each cell).
 */
import { type Markup, markup } from './markup.ts';

/** Percent; `winRates[row][column]` is of the model `row` over the model `column`. */
export interface WinRateMatrix {
  title: string;
  models: readonly string[];
  winRates: readonly (readonly number[])[];
}

const CELL = { width: 74, height: 40 };
const CHARACTER_WIDTH = 7.8;
const ABOUT = 'Each cell is how often the model of its row beats the model of its column, in percent.';
/** At most this opaque, so that numbers stay readable in both themes. */
const STRONGEST = 0.6;

/** Of a picture alone; inside a report the page's own style sheet says the same (page.ts). */
const STYLE = `
svg { color-scheme: light dark; --page: #fbfbf9; --ink: #1c1e21; --soft: #5b616b; --rule: #dfe1e5; --c1: #0063a6; --c2: #c25400; }
@media (prefers-color-scheme: dark) { svg { --page: #14161a; --ink: #e8e9ec; --soft: #a2a8b3; --rule: #343943; --c1: #62b5f0; --c2: #f59a4c; } }
.page { fill: var(--page); } .cell { stroke: var(--rule); }
.better { fill: var(--c1); } .worse { fill: var(--c2); } .even { fill: none; }
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--ink); }
.soft { fill: var(--soft); } .number { text-anchor: middle; font-variant-numeric: tabular-nums; } .row { text-anchor: end; }`;

/** The picture as the text of an SVG file. */
export function winRateMatrixSvg(matrix: WinRateMatrix): string {
  const { width, height, parts } = draw(matrix, 52);
  const drawn = markup`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title about">
<title id="title">${matrix.title}</title>
<desc id="about">${ABOUT}</desc>
<style>STYLE</style>
<rect class="page" width="100%" height="100%"/>
<text x="16" y="28">${matrix.title}</text>
<text class="soft" x="16" y="48">percent, row over column</text>
${parts}
</svg>
`;
  // The style sheet is ours and holds quotes that markup would escape.
  return drawn.text.replace('STYLE', STYLE);
}

/** The same inside a report, under the page's style sheet and a heading of its own. */
export function winRateMatrixDrawing(matrix: WinRateMatrix): Markup {
  const { width, height, parts } = draw(matrix, 0);
  return markup`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${matrix.title}: ${ABOUT}"><desc>${ABOUT}</desc>${parts}</svg>`;
}

/** Names and cells below a heading of some height. */
function draw({ models, winRates }: WinRateMatrix, top: number): { width: number; height: number; parts: Markup } {
  const longest = Math.max(...models.map((name) => name.length)) * CHARACTER_WIDTH;
  const left = 24 + longest;
  const columnsBottom = top + 18 + longest * 0.71;
  const x = (column: number): number => left + column * CELL.width;
  const y = (row: number): number => columnsBottom + row * CELL.height;
  const cells = winRates.map((rates, row) =>
    rates.map((rate, column) =>
      cell(rate, { x: x(column), y: y(row), name: `${models[row]} over ${models[column]}: ${rate.toFixed(2)} %` }),
    ),
  );
  const rowNames = models.map(
    (name, row) =>
      markup`<text class="row" x="${round(left - 10)}" y="${round(y(row) + CELL.height / 2 + 5)}">${name}</text>`,
  );
  const columnNames = models.map((name, column) => {
    const [atX, atY] = [round(x(column) + CELL.width / 2), round(columnsBottom - 10)];
    return markup`<text x="${atX}" y="${atY}" transform="rotate(-45 ${atX} ${atY})">${name}</text>`;
  });
  return {
    // A slanted name of the last column ends right of it.
    width: round(x(models.length) - CELL.width / 2 + Math.max(CELL.width / 2, longest * 0.71) + 16),
    height: round(columnsBottom + models.length * CELL.height + 16),
    parts: markup`${columnNames}${rowNames}${cells}`,
  };
}

function cell(rate: number, place: { x: number; y: number; name: string }): Markup {
  const kind = rate > 50 ? 'better' : rate < 50 ? 'worse' : 'even';
  const opacity = (STRONGEST * Math.abs(rate - 50)) / 50;
  const [x, y] = [round(place.x), round(place.y)];
  return markup`<g><title>${place.name}</title><rect class="cell ${kind}" x="${x}" y="${y}" width="${CELL.width}" height="${CELL.height}" fill-opacity="${opacity.toFixed(3)}"/><text class="number" x="${x + CELL.width / 2}" y="${y + CELL.height / 2 + 5}">${rate.toFixed(2)}</text></g>
`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
