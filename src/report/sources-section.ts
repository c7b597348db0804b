/** @file The part of a report about the sources of the data: what training made of the pairs of each. */
import type { StoredMetric } from '../store/ledger-rows.ts';
import { fixed, percent } from './findings.ts';
import { type Markup, markup } from './markup.ts';
import { table } from './page.ts';
import type { ReportData, SourceTraining } from './report-data.ts';
import { plain, sheetMarkdown } from './sheet.ts';

/** What the metrics of the steps say of each source, by iteration; empty where the pairs are of a single one. */
export function trainingBySource(metrics: readonly StoredMetric[]): SourceTraining[] {
  const found = new Map<string, SourceTraining>();
  for (const { iteration, stage, values } of metrics) {
    if (stage !== 'train') continue;
    for (const [name, pairs] of Object.entries(values)) {
      const source = /^pairs\/(.+)$/.exec(name)?.[1];
      if (source === undefined || pairs === 0) continue;
      const key = `${iteration} ${source}`;
      const known = found.get(key) ?? { iteration, source, pairs: 0, margin: 0, accuracy: 0 };
      const total = known.pairs + pairs;
      const meanWith = (before: number, value = Number.NaN): number => (before * known.pairs + value * pairs) / total;
      found.set(key, {
        iteration,
        source,
        pairs: total,
        margin: meanWith(known.margin, values[`rewards/margins/${source}`]),
        accuracy: meanWith(known.accuracy, values[`rewards/accuracies/${source}`]),
      });
    }
  }
  return [...found.values()].sort((a, b) => a.iteration - b.iteration || (a.source < b.source ? -1 : 1));
}

const HEAD = ['iteration', 'source', 'pairs trained on', 'mean reward margin', 'mean accuracy'];

/** The table; null where no method has several sources. */
export function sourcesSection({ methods }: ReportData): Markup | null {
  if (methods.every(({ sources }) => sources.length === 0)) return null;
  const rows = methods.map(({ name, sources }) => [
    markup`<tr class="group"><th colspan="5" scope="rowgroup">${name}</th></tr>`,
    sources.map(
      (each) =>
        markup`<tr><td>iteration ${each.iteration}</td><td>${each.source}</td><td>${each.pairs}</td><td>${fixed(each.margin, 4)}</td><td>${percent(each.accuracy)}</td></tr>`,
    ),
  ]);
  return markup`<h3>By source of the data</h3>
<p class="hint">Means over the steps of the iteration, before each step’s update.</p>
${table('By source of the data', HEAD, rows)}`;
}

/** The same as Markdown. */
export function sourcesMarkdown({ methods }: ReportData): string[] {
  const rows = methods.flatMap(({ name, sources }) =>
    sources.map((each) => ({
      name: plain(`${name}, iteration ${each.iteration}`),
      cells: [each.source, String(each.pairs), fixed(each.margin, 4), percent(each.accuracy)].map(plain),
    })),
  );
  return rows.length === 0 ? [] : sheetMarkdown({ head: ['', ...HEAD.slice(1)].map(plain), rows });
}
