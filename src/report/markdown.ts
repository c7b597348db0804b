/** @file The report of a run as Markdown: what it found, its numbers, where its pairs came from, and how it was made. Pure. */
import type { Interval } from '../evaluate/statistics.ts';
import { mean } from '../evaluate/statistics.ts';
import { benchmarkLines } from './benchmarks-section.ts';
import { explorationLines } from './exploration-section.ts';
import { fixed, type MethodNumbers, numbersOf, type PolicyNumbers, percent, verdicts, warnings } from './findings.ts';
import { opinionLines } from './rankers-section.ts';
import type { Fact, ReportData } from './report-data.ts';
import { asMarkdown, type Cell, EMPTY, plain, sheetMarkdown } from './sheet.ts';
import { sourcesMarkdown } from './sources-section.ts';

/** One Markdown document. Throws DataError where evaluations are empty or on different prompts. */
export function reportMarkdown(data: ReportData): string {
  const methods = numbersOf(data);
  return `${[
    `# ${asMarkdown(data.title ?? data.name)}`,
    '',
    `Run ${asMarkdown(data.name)}. ${data.createdAt}. Reward: ${asMarkdown(data.rewardName)}.`,
    ...(data.state === null ? [] : ['', `**${asMarkdown(data.state)}**`]),
    '',
    ...listOf(verdicts(data)),
    ...sectionOf('Look at this first', listOf(warnings(data))),
    ...sectionOf('Know before you quote a number', listOf(data.notes)),
    ...sectionOf('Numbers of every policy', numbersTable(data, methods)),
    ...sectionOf('Benchmarks, exploration and rankers', [
      ...listOf([...benchmarkLines(data), ...explorationLines(data), ...opinionLines(data)]),
    ]),
    ...sectionOf('Where the pairs came from', pairsTable(data)),
    ...sectionOf('By source of the data', sourcesMarkdown(data)),
    ...sectionOf('Training', trainingTable(data)),
    ...sectionOf('Settings', factTable([...data.settings, ...data.seeds, ...data.machine])),
    ...sectionOf('Time', timeTable(data)),
  ].join('\n')}\n`;
}

function sectionOf(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', `## ${title}`, '', ...lines];
}

function listOf(lines: readonly string[]): string[] {
  return lines.map((line) => `- ${asMarkdown(line)}`);
}

const COLUMNS: readonly { head: Cell; cell: (policy: PolicyNumbers) => Cell }[] = [
  { head: plain('mean reward'), cell: ({ reward }) => intervalCell(reward, 3) },
  { head: plain('win rate against the base'), cell: ({ winRate }) => intervalCell(winRate, 3) },
  {
    head: plain('win rate against the iteration before'),
    cell: ({ winRateOverPrevious }) => intervalCell(winRateOverPrevious, 3),
  },
  { head: plain('KL to the base, nats'), cell: ({ klToBase }) => intervalCell(klToBase, 2) },
  { head: plain('length, tokens'), cell: ({ length }) => intervalCell(length, 1) },
  { head: plain('text soundness'), cell: ({ textHealth }) => intervalCell(textHealth, 3) },
  {
    head: plain('ended by itself'),
    cell: ({ finishedShare }) => (finishedShare === null ? EMPTY : plain(percent(finishedShare))),
  },
];

function intervalCell(interval: Interval | null, digits: number): Cell {
  if (interval === null) return EMPTY;
  const { value, low, high, count } = interval;
  return { text: fixed(value, digits), hint: `[${fixed(low, digits)}, ${fixed(high, digits)}], n = ${count}` };
}

function numbersTable({ base }: ReportData, methods: readonly MethodNumbers[]): string[] {
  const first = methods[0]?.policies[0];
  if (base === null || first === undefined) return [];
  const rows = [
    { name: plain('base'), policy: first },
    ...methods.flatMap(({ method, policies }) =>
      policies.slice(1).map((policy) => ({ name: plain(`${method.name}, iteration ${policy.iteration}`), policy })),
    ),
  ];
  const columns = COLUMNS.filter(({ cell }) => rows.some(({ policy }) => cell(policy).text !== ''));
  const intro = `Means over ${new Set(base.promptIds).size} held-out prompts, with 95 % bootstrap intervals over prompts.`;
  const sheet = {
    head: [plain('policy'), ...columns.map(({ head }) => head)],
    rows: rows.map(({ name, policy }) => ({ name, cells: columns.map(({ cell }) => cell(policy)) })),
  };
  return [intro, '', ...sheetMarkdown(sheet)];
}

function pairsTable({ methods }: ReportData): string[] {
  const rows = methods.flatMap((method) =>
    method.pairs.map(({ iteration, pairs, chosenFrom, rejectedFrom, ties, skipped }) => ({
      name: plain(`${method.name}, iteration ${iteration}`),
      cells: [
        plain(String(pairs)),
        plain(`${chosenFrom.response} / ${chosenFrom.chosen} / ${chosenFrom.rejected}`),
        plain(`${rejectedFrom.response} / ${rejectedFrom.chosen} / ${rejectedFrom.rejected}`),
        plain(String(ties)),
        plain(skipped.map(({ reason, count }) => `${count} ${reason}`).join(', ') || 'none'),
      ],
    })),
  );
  const head = [
    '',
    'pairs',
    'chosen from sample / data’s chosen / rejected',
    'rejected from the same',
    'with a tie',
    'without a pair',
  ];
  return rows.length === 0 ? [] : sheetMarkdown({ head: head.map(plain), rows });
}

/** First and last steps of each iteration: what the curves of the page show, in few numbers. */
function trainingTable({ methods }: ReportData): string[] {
  const rows = methods.flatMap((method) =>
    [...new Set(method.training.map(({ iteration }) => iteration))].map((iteration) => {
      const points = method.training.filter((point) => point.iteration === iteration);
      const tail = points.slice(-Math.max(1, Math.ceil(points.length / 10)));
      const last = (read: (point: (typeof tail)[number]) => number, digits = 3): Cell =>
        plain(fixed(mean(tail.map(read)), digits));
      return {
        name: plain(`${method.name}, iteration ${iteration}`),
        cells: [
          plain(String(points.length)),
          plain(fixed(points[0]?.loss ?? Number.NaN, 4)),
          last(({ loss }) => loss, 4),
          last(({ margin }) => margin),
          last(({ accuracy }) => accuracy),
        ],
      };
    }),
  );
  const head = ['', 'steps', 'first loss', 'loss', 'reward margin', 'accuracy'];
  return rows.length === 0
    ? []
    : ['Means over the last tenth of the steps.', '', ...sheetMarkdown({ head: head.map(plain), rows })];
}

function factTable(facts: readonly Fact[]): string[] {
  const rows = facts.map(({ label, value }) => ({ name: plain(label), cells: [plain(value)] }));
  return rows.length === 0 ? [] : sheetMarkdown({ head: [plain('what'), plain('value')], rows });
}

function timeTable({ timings, peakMemoryBytes }: ReportData): string[] {
  const rows = timings.map(({ stage, method, iteration, seconds }) => ({
    name: plain(stage),
    cells: [plain(method), plain(iteration === null ? '' : String(iteration)), plain(fixed(seconds, 1))],
  }));
  const memory = peakMemoryBytes === null ? [] : ['', `Peak memory: ${fixed(peakMemoryBytes / 2 ** 20, 0)} MiB.`];
  return rows.length === 0
    ? []
    : [...sheetMarkdown({ head: ['stage', 'method', 'iteration', 'seconds'].map(plain), rows }), ...memory];
}
