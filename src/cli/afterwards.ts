/**
 * @file `selm afterwards RUN` measures how people's labels changed the policy's answers, for the page *Afterwards* of
 * `selm studio`.
 */
import { Command } from 'commander';
import { selmCommand } from '../files/command-line.ts';
import { watchStop } from './eval/stop.ts';
import { formatNumber, formatTable, oneLine } from './format.ts';
import { wholeNumber } from './numbers.ts';
import { openRunArgument, RUN_ARGUMENT } from './run-argument.ts';

interface AfterwardsOptions {
  iteration?: number;
  limit: number;
  json?: true;
}

/** The command. */
export function afterwardsCommand(): Command {
  return new Command('afterwards')
    .description('have the new policy answer the prompts that people labelled: answers and margins before and after')
    .argument('<run>', RUN_ARGUMENT)
    .option('--iteration <t>', 'which iteration (default: the last with a model)', wholeNumber(1))
    .option('--limit <n>', 'at most so many prompts', wholeNumber(1), 100)
    .option('--json', 'one JSON object')
    .action(afterwards);
}

async function afterwards(name: string, { iteration, limit, json }: AfterwardsOptions): Promise<void> {
  using run = openRunArgument(name);
  const trained = run.ledger.stages.all().filter((each) => each.stage === 'train' && each.status === 'finished');
  const last = iteration ?? trained.at(-1)?.iteration ?? 1;
  const measured = await watchStop(async ({ signal }) => {
    const { measureAfterwards } = await import('../loop/evaluation/afterwards.ts');
    return measureAfterwards({ ...run.config.recipe, output: run.path }, { iteration: last, limit, signal });
  });
  if (measured === null) return;
  if (json) {
    process.stdout.write(`${JSON.stringify({ iteration: last, prompts: measured })}\n`);
    return;
  }
  const rows = measured.map(({ prompt, marginBefore, marginAfter }) => [
    oneLine(prompt, 60),
    formatNumber(marginBefore),
    formatNumber(marginAfter),
  ]);
  const rose = measured.filter(({ marginBefore, marginAfter }) => marginAfter > marginBefore).length;
  process.stdout.write(
    `${formatTable(['prompt', 'margin before', 'after'], rows)}\nIteration ${last}: the margin rose in ${rose} of ${measured.length} labelled pairs; the answers are in the studio:\n  ${selmCommand(['studio', run.path])}\n`,
  );
}
