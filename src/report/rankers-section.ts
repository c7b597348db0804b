/** @file The part of a report about its rankers: how far two of them agree, how steady a judge is, what it used. */
import { type Agreement, type AgreementTable, agreementOf, pooledShare } from '../evaluate/agreement.ts';
import type { Interval } from '../evaluate/statistics.ts';
import { fixed, plainInterval } from './findings.ts';
import { type Markup, markup } from './markup.ts';
import { table } from './page.ts';
import type { OpinionReport, ReportData } from './report-data.ts';

/** The section; null where there is nothing to say. */
export function opinionsSection({ opinions, statisticsSeed }: ReportData): Markup | null {
  if (opinions === null) return null;
  return markup`<h2 id="rankers">The rankers</h2>
${agreementTable(opinions, statisticsSeed)}
${rankersTable(opinions, statisticsSeed)}`;
}

function agreementTable(opinions: OpinionReport, seed: number): Markup | null {
  const [first, second] = opinions.rankers;
  if (first === undefined || second === undefined) return null;
  const rows = kinds(opinions, seed).map(({ label, agreement }) =>
    agreement === null
      ? markup`<tr><td>${label}</td><td>0</td><td>0</td><td></td><td></td><td></td></tr>`
      : markup`<tr><td>${label}</td><td>${agreement.percent.count}</td><td>${agreement.comparisons}</td><td>${plainInterval(agreement.percent)}</td><td>${plainInterval(agreement.kappa)}</td><td>${plainInterval(agreement.ac1)}</td></tr>`,
  );
  return markup`<p class="hint">${first.name} and ${second.name} on the same candidates: each pair of different texts is one comparison (better, worse or a tie), brackets are 95 % bootstrap intervals over prompts. Prompts drawn at random stand for all; prompts in doubt do not. Kappa falls where nearly all verdicts are alike; AC1 does not.</p>
${table('Agreement of the rankers', ['prompts', 'n prompts', 'n comparisons', 'same verdict', 'Cohen’s kappa', 'Gwet’s AC1'], rows)}`;
}

function rankersTable(opinions: OpinionReport, seed: number): Markup {
  const rows = opinions.rankers.map(({ name, prompts, problems, orders, calls, promptTokens, completionTokens }) => {
    const steady = pooledShare(orders, seed);
    const comparisons = orders.reduce((sum, { of }) => sum + of, 0);
    return markup`<tr><td>${name}</td><td>${prompts}</td><td>${problems}</td><td>${steady === null ? '' : `${plainInterval(steady)} of ${comparisons}`}</td><td>${calls === 0 ? '' : calls}</td><td>${calls === 0 ? '' : `${promptTokens} + ${completionTokens}`}</td></tr>`;
  });
  return markup`<p class="hint">Order consistency: share of comparisons asked in both orders whose two answers name the same winner (or both a tie). A judge that always takes the first has 0.</p>
${table('What each ranker did', ['ranker', 'prompts ranked', 'without a verdict', 'order consistency', 'requests', 'tokens, prompt + answer'], rows)}`;
}

/** The same for a terminal, in at most three lines. */
export function opinionLines({ opinions, statisticsSeed }: ReportData): string[] {
  if (opinions === null) return [];
  const agreements = kinds(opinions, statisticsSeed).flatMap(({ label, agreement }) =>
    agreement === null ? [] : [`Rankers, ${label}: ${agreementText(agreement)}`],
  );
  const steady = opinions.rankers.flatMap(({ name, orders }) => {
    const share = pooledShare(orders, statisticsSeed);
    return share === null
      ? []
      : [`${name}: orders agree on ${percentText(share)} of comparisons, n = ${share.count} prompts`];
  });
  return [...agreements, ...steady].slice(0, 3);
}

/** `84 % [80, 88] of 72 verdicts, kappa 0.61 [..], AC1 0.79 [..], n = 24 prompts`. */
export function agreementText({ percent, kappa, ac1, comparisons }: Agreement): string {
  return `${percentText(percent)} of ${comparisons} verdicts, kappa ${plainInterval(kappa, 2)}, AC1 ${plainInterval(ac1, 2)}, n = ${percent.count} prompts`;
}

function percentText({ value, low, high }: Interval): string {
  return `${fixed(100 * value, 0)} % [${fixed(100 * low, 0)}, ${fixed(100 * high, 0)}]`;
}

function kinds(
  { drawn, doubt, rankers }: OpinionReport,
  seed: number,
): { label: string; agreement: Agreement | null }[] {
  if (rankers.length < 2) return [];
  const of = (label: string, tables: readonly AgreementTable[]) => ({ label, agreement: agreementOf(tables, seed) });
  return [of('drawn at random', drawn), ...(doubt.length === 0 ? [] : [of('in doubt', doubt)])];
}
