/** @file `selm metrics RUN`: the numbers of every step, for a person as a table, for a program as lines of JSON. */
import { Command, Option } from 'commander';
import { formatBytes } from '../files/fs.ts';
import type { StoredMetric } from '../store/ledger-rows.ts';
import { formatNumber, formatTable } from './format.ts';
import { openRunArgument, RUN_ARGUMENT } from './run-argument.ts';

export interface MetricsOptions {
  attempts: 'current' | 'all';
  json?: true;
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
    .option('--json', 'one line of JSON a step, with every metric')
    .addHelpText('after', '\nExample:\n  $ selm metrics quickstart --json | jq .loss')
    .action((run: string, options: MetricsOptions) => {
      for (const line of metricLines(run, options)) process.stdout.write(`${line}\n`);
    });
}

/** What the command prints, line by line. Throws RunError. */
export function metricLines(run: string, { attempts, json }: MetricsOptions): string[] {
  using opened = openRunArgument(run);
  const metrics = opened.ledger.metrics({ attempts });
  if (json) return metrics.map(jsonLine);
  if (metrics.length === 0) return [`Run "${opened.config.recipe.name}" has no metrics yet`];
  const stages = [...new Set(metrics.map(({ stage }) => stage))];
  const tables = stages.map((stage) => {
    const rows = metrics.filter((metric) => metric.stage === stage);
    return `${stages.length > 1 ? `${stage}:\n` : ''}${metricsTable(rows, attempts)}`;
  });
  return [tables.join('\n\n')];
}

/** NaN and infinities, which JSON has not, are null. */
function jsonLine({ iteration, stage, step, attempt, values }: StoredMetric): string {
  return JSON.stringify({ iteration, stage, step, attempt, ...values });
}

function metricsTable(metrics: readonly StoredMetric[], attempts: 'current' | 'all'): string {
  const measured = new Set(metrics.flatMap(({ values }) => Object.keys(values)));
  const known = COLUMNS.filter((name) => measured.has(name));
  const names = known.length > 0 ? known : [...measured].sort();
  const place = attempts === 'all' ? ['iteration', 'step', 'attempt'] : ['iteration', 'step'];
  const rows = metrics.map(({ iteration, step, attempt, values }) => [
    ...[iteration, step, attempt].slice(0, place.length).map(String),
    ...names.map((name) => cell(name, values[name])),
  ]);
  return formatTable([...place, ...names.map(title)], rows);
}

function cell(name: string, value: number | undefined): string {
  return name.endsWith('_bytes') && value !== undefined ? formatBytes(value) : formatNumber(value);
}

function title(name: string): string {
  return name.replace(/_bytes$/, '').replace('tokens_per_second', 'tokens/s');
}
