/** @file `selm eval eq-bench`: the score of existing results, without a model. */
import { Command } from 'commander';

/** The command for EQ-Bench's results. */
export function evalEqBenchCommand(): Command {
  return new Command('eq-bench')
    .description("EQ-Bench's score from its own program's result file")
    .requiredOption('--results <file>', 'JSON with "iterations": answers by question')
    .option('--json', 'one JSON object')
    .action(evalEqBench);
}

async function evalEqBench(options: { results: string; json?: true }): Promise<void> {
  const { eqBenchResult } = await import('../../evaluate/eq-bench/results.ts');
  const { readJson } = await import('../../evaluate/records.ts');
  const result = eqBenchResult(readJson(options.results), options.results);
  const { score, parsed, questions, first_pass, revised, warnings } = result;
  const lines = [
    `EQ-Bench ${result.version}: ${score.toFixed(2)} over ${parsed} of ${questions} questions`,
    `first answers ${first_pass.score.toFixed(2)} (${first_pass.parsed})`,
    ...(revised === null ? [] : [`revised answers ${revised.score.toFixed(2)} (${revised.parsed})`]),
    `with unreadable answers as 0: ${result.score_with_unparsed_as_zero.toFixed(2)}`,
    ...warnings,
  ];
  process.stdout.write(`${options.json ? JSON.stringify(result) : lines.join('\n')}\n`);
}
