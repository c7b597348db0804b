/** @file `selm metrics RUN`: the numbers of every step, for a person as a table, for a program as lines of JSON. */
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { formatBytes } from '../files/fs.ts';
import { lockHolder } from '../files/lock.ts';
import type { StoredMetric } from '../store/ledger-rows.ts';
import { formatNumber, formatTable, wrapped } from './format.ts';
import { openRunArgument, RUN_ARGUMENT } from './run-argument.ts';

export interface MetricsOptions {
  attempts: 'current' | 'all';
  json?: true;
  follow?: true;
}

/** Columns that come first, in this order, when they were measured; the table leaves other names to --json. */
const COLUMNS = [
  'loss',
  'lr',
  'grad_norm',
  'mean_token_accuracy',
  'num_tokens',
  'rewards/chosen',
  'rewards/rejected',
  'rewards/margins',
  'rewards/accuracies',
  'logps/chosen',
  'logps/rejected',
  'logps/pi_response',
  'tokens_per_second',
  'seconds',
  'peak_resident_bytes',
];

/** The command. */
export function metricsCommand(): Command {
  return new Command('metrics')
    .description('show the numbers of every step of a run; metric names are those of TRL')
    .argument('<run>', RUN_ARGUMENT)
    .addOption(
      new Option('--attempts <which>', 'current: what counts. all: also what was measured again after a restart')
        .choices(['current', 'all'])
        .default('current'),
    )
    .option('--follow', 'go on with every new step, until the run stops')
    .option('--json', 'one line of JSON a step, with every metric')
    .addHelpText('after', '\nExample:\n  $ selm metrics quickstart --json | jq .loss')
    .action(async (run: string, options: MetricsOptions) => {
      const { columns } = process.stdout;
      const lines = options.follow
        ? followMetrics(run, { ...options, columns })
        : metricLines(run, { ...options, columns });
      for await (const line of lines) process.stdout.write(`${line}\n`);
    });
}

/** What the command prints, line by line; a table fits `columns`. Throws RunError. */
export function metricLines(
  run: string,
  { attempts, json, columns }: MetricsOptions & { columns?: number | undefined },
): string[] {
  using opened = openRunArgument(run);
  const metrics = opened.ledger.metrics({ attempts });
  if (json) return metrics.map(jsonLine);
  if (metrics.length === 0) return [`Run "${opened.config.recipe.name}" has no metrics yet`];
  const stages = [...new Set(metrics.map(({ stage }) => stage))];
  const tables = stages.map((stage) => {
    const rows = metrics.filter((metric) => metric.stage === stage);
    return `${stages.length > 1 ? `${stage}:\n` : ''}${metricsTable(rows, { attempts, columns })}`;
  });
  return [tables.join('\n\n')];
}

/** Milliseconds between two looks at a run. */
const FOLLOW_MS = 1000;

/** The steps that are there, then every new one, until no process works in the run any more. */
export async function* followMetrics(
  run: string,
  {
    attempts,
    json,
    columns,
    intervalMs = FOLLOW_MS,
  }: MetricsOptions & { columns?: number | undefined; intervalMs?: number },
): AsyncGenerator<string> {
  let shown = 0;
  let stage: string | null = null;
  for (;;) {
    using opened = openRunArgument(run);
    // Before the steps are read: what is written after this look is seen at the next one.
    const isAtWork = lockHolder(join(opened.path, 'run.lock')) !== null;
    const metrics = opened.ledger.metrics({ attempts });
    // Steps that are measured again after a restart take the place of others.
    if (metrics.length < shown) shown = 0;
    for (const [index, metric] of metrics.entries()) {
      if (index < shown) continue;
      if (json) yield jsonLine(metric);
      else {
        // The table so far, of which the new row is the last: columns stay where they are.
        const rows = metrics.slice(0, index + 1).filter((each) => each.stage === metric.stage);
        const lines = metricsTable(rows, { attempts, columns, mentionsMore: false }).split('\n');
        if (stage !== metric.stage) yield `${stage === null ? '' : '\n'}${metric.stage}:\n${lines[0] ?? ''}`;
        stage = metric.stage;
        yield lines.at(-1) ?? '';
      }
    }
    shown = metrics.length;
    if (!isAtWork) {
      if (!json) yield 'No process works in this run any more.';
      return;
    }
    await setTimeout(intervalMs);
  }
}

/** NaN and infinities, which JSON has not, are null. */
function jsonLine({ iteration, stage, step, attempt, values }: StoredMetric): string {
  return JSON.stringify({ iteration, stage, step, attempt, ...values });
}

function metricsTable(
  metrics: readonly StoredMetric[],
  {
    attempts,
    columns = Number.POSITIVE_INFINITY,
    mentionsMore = true,
  }: { attempts: 'current' | 'all'; columns?: number | undefined; mentionsMore?: boolean },
): string {
  const measured = new Set(metrics.flatMap(({ values }) => Object.keys(values)));
  const known = COLUMNS.filter((name) => measured.has(name));
  const names = known.length > 0 ? known : [...measured].sort();
  const place = attempts === 'all' ? ['iteration', 'step', 'attempt'] : ['iteration', 'step'];
  // As many as the terminal is wide, the most telling first.
  for (let count = names.length; ; count--) {
    const shown = names.slice(0, count);
    const rows = metrics.map(({ iteration, step, attempt, values }) => [
      ...[iteration, step, attempt].slice(0, place.length).map(String),
      ...shown.map((name) => cell(name, values[name])),
    ]);
    const table = formatTable([...place, ...shown.map(title)], rows);
    const width = Math.max(...table.split('\n').map((line) => line.length));
    if (width > columns && count > 1) continue;
    const more = names.slice(count).map(title).join(', ');
    return more === '' || !mentionsMore
      ? table
      : `${table}\n${wrapped(`More in a wider terminal, or with --json: ${more}`, columns)}`;
  }
}

function cell(name: string, value: number | undefined): string {
  return name.endsWith('_bytes') && value !== undefined ? formatBytes(value) : formatNumber(value);
}

function title(name: string): string {
  return name.replace(/_bytes$/, '').replace('tokens_per_second', 'tokens/s');
}
