/** @file `selm generate MODEL`: responses of a model to a prompt or a file of prompts, as the loop samples them. */
import { Command, Option } from 'commander';
import { columnsOption } from './columns.ts';
import { deviceOption } from './device.ts';
import { UsageError } from './errors.ts';
import { numberBetween, wholeNumber } from './numbers.ts';
import type { GenerateOptions } from './respond.ts';

/** The command. */
export function generateCommand(): Command {
  return new Command('generate')
    .description('sample responses of a model to prompts')
    .argument('<model>', 'model folder in Hugging Face layout, such as runs/NAME/iteration-1/model, or hub:owner/name')
    .addOption(new Option('--prompt <text>', 'the prompt').conflicts('prompts'))
    .option('--prompts <file>', 'file with a prompt a row, in any form and format that training reads')
    .addOption(columnsOption())
    .option('--limit <n>', 'only the first prompts of the file', wholeNumber(1))
    .option('--samples <n>', 'responses a prompt', wholeNumber(1), 1)
    .option('--temperature <t>', '0 is greedy', numberBetween(0, Infinity, 'inclusive'), 0.7)
    .option(
      '--top-p <p>',
      'sample among the likeliest tokens that reach this probability together; 1 is off',
      numberBetween(0, 1, 'exclusive'),
      1,
    )
    .option('--top-k <k>', 'sample among the k likeliest tokens; 0 is off', wholeNumber(0), 0)
    .option('--max-new-tokens <n>', 'longer responses are cut', wholeNumber(1), 256)
    .addOption(deviceOption())
    .option('--seed <n>', 'the same seed gives the same responses', wholeNumber(0), 0)
    .addOption(
      new Option(
        '--chat',
        "a prompt that is a text is the user's message (default where the model has a chat template)",
      ).conflicts('text'),
    )
    .option('--text', 'a prompt that is a text is continued as it is, as text.prompts: raw')
    .option('--json', 'one line of JSON a response: ids, text, finish, logProb')
    .addHelpText(
      'after',
      '\nExample:\n  $ selm generate assets/stories260K --text --prompt "Once upon a time" --samples 2',
    )
    .action(generateResponses);
}

/** Prints the responses in the order of the prompts. */
async function generateResponses(model: string, options: GenerateOptions): Promise<void> {
  if (options.prompt === undefined && options.prompts === undefined) {
    throw new UsageError('Cannot generate: no prompt is given: add --prompt TEXT or --prompts FILE.jsonl');
  }
  if (options.temperature === 0 && options.samples > 1) {
    throw new UsageError(
      `Cannot generate ${options.samples} samples at temperature 0: they are all the same: set --temperature above 0`,
    );
  }
  // Loaded here: the other commands and --help need no engine.
  const { respond } = await import('./respond.ts');
  for await (const text of respond(model, options)) process.stdout.write(`${text}\n`);
}
