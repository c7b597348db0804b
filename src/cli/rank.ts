/** @file `selm rank FILE`: responses ranked by any ranker of the loop, without a run. */
import { Command } from 'commander';
import { InterruptedError } from '../errors.ts';
import { selmCommand } from '../files/command-line.ts';
import { onBadRowOption } from './data.ts';
import { deviceOption } from './device.ts';
import type { RankOptions } from './rank-file.ts';
import { listenForStop } from './signals.ts';

/** The command. */
export function rankCommand(): Command {
  return new Command('rank')
    .description('rank the responses of a file by a function, a program, PairRM, a reward model or a judge')
    .argument('<file>', 'rows {prompt, responses: [...]}, or pairs {prompt, chosen, rejected}: JSONL or Parquet')
    .option(
      '--ranker <kind:what>',
      "function:reward.ts, 'command:python3 reward.py', pairrm:DIR, reward-model:DIR or judge:MODEL",
    )
    .option('--recipe <file>', 'take the ranker of a recipe')
    .option('--set <key.path=value>', 'a setting, as in a recipe: ranker.baseUrl=...; may be repeated', collect, [])
    .addOption(deviceOption("the recipe's, else cpu"))
    .option('--output <file>', 'write the rankings there (whole or not at all) instead of to stdout')
    .option('--answers <file>', "keep a judge's answers there: run again with it, and nothing is asked twice")
    .addOption(onBadRowOption('stop'))
    .option('--json', 'errors and the summary as a line of JSON')
    .addHelpText(
      'after',
      `
A line of JSON a row, in order: promptId, line, scores (null where a ranker only orders), order (indices of the
responses, best first; of a pair 0 is chosen, 1 rejected), ties, and problem where there is no verdict.
Exit code: 0 every row has its line, 1 it stopped on the way (server gone, budget spent), 2 wrong use or input.

Examples:
  $ selm rank rows.jsonl --ranker function:reward.ts
  $ selm rank rows.jsonl --ranker 'command:python3 reward.py'
  $ selm rank rows.jsonl --ranker judge:gpt-4.1-mini --set ranker.baseUrl=https://api.openai.com/v1 \\
      --set ranker.apiKeyVariable=OPENAI_API_KEY --set ranker.budget.calls=500 --answers answers.jsonl`,
    )
    .action(rank);
}

/** Ranks a file. Rankings go to stdout or --output, everything else to stderr. */
async function rank(file: string, options: RankOptions): Promise<void> {
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const stop = listenForStop((name) => say(`${name}: hearing out the requests under way; Ctrl-C again stops at once`));
  try {
    // Loaded here: --help and the other commands need no engine.
    const { rankFile } = await import('./rank-file.ts');
    const { text, summary } = await rankFile(file, options, { signal: stop.signal, say });
    say(options.json ? JSON.stringify({ kind: 'rank-finished', ...summary }) : text);
  } catch (error) {
    if (!(error instanceof InterruptedError) || stop.received === null) throw error;
    const again = selmCommand(process.argv.slice(2));
    say(
      options.answers === undefined
        ? 'Stopped; nothing was kept (--answers FILE would keep what a judge answers)'
        : `Stopped; the answers are in ${options.answers}; go on with:\n  ${again}`,
    );
    process.exitCode = stop.received.exitCode;
  } finally {
    stop.close();
  }
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}
