/**
 * @file `selm arena`: answers of several models to the same prompts, for people to vote on in `selm studio`, and the
 * ratings that follow from the votes.
 */
import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { readArena } from '../arena/arena.ts';
import { eventsOfVotes, rowsOfVotes, type Standings, standingsOf } from '../arena/standings.ts';
import { readVotes } from '../arena/votes.ts';
import { selmCommand, shorterPath } from '../files/command-line.ts';
import { createFile } from '../files/new-file.ts';
import type { Contender, MakeArenaOptions } from './arena-make.ts';
import { columnsOption } from './columns.ts';
import { deviceOption } from './device.ts';
import { watchOnRanks } from './eval/stop.ts';
import { formatTable } from './format.ts';
import { numberBetween, wholeNumber } from './numbers.ts';
import { ranksOption } from './ranks.ts';

/** The command and those below it. */
export function arenaCommand(): Command {
  return new Command('arena')
    .description('saved models and judges against each other: make an arena, see its ratings, export its votes')
    .addCommand(makeCommand())
    .addCommand(ratingsCommand())
    .addCommand(exportCommand())
    .addHelpText('after', '\nPeople vote in `selm studio FOLDER`, without seeing who wrote what (docs/arena.md).');
}

function makeCommand(): Command {
  return new Command('make')
    .description('ask every contender every prompt, and write the answers into a new folder')
    .argument('<folder>', 'new folder; below runs/ the studio finds it by itself')
    .requiredOption('--prompts <file>', 'a prompt a row, in any form and format that training reads')
    .addOption(
      new Option(
        '--contenders <name=place...>',
        'two or more: a model folder, hub:owner/name, https://server/v1#model, or a .jsonl file of answers',
      )
        .argParser(contender)
        .makeOptionMandatory(),
    )
    .addOption(columnsOption())
    .option('--limit <n>', 'only the first prompts of the file', wholeNumber(1))
    .option('--temperature <t>', '0 is greedy', numberBetween(0, Infinity, 'inclusive'), 0.7)
    .option(
      '--top-p <p>',
      'sample among the likeliest tokens that reach this; 1 is off',
      numberBetween(0, 1, 'exclusive'),
      1,
    )
    .option('--max-new-tokens <n>', 'longer answers are cut', wholeNumber(1), 256)
    .option('--seed <n>', 'the same seed gives the same answers', wholeNumber(0), 0)
    .addOption(deviceOption())
    .option('--api-key-variable <name>', 'environment variable with the key of servers')
    .option('--store <file>', "where models' answers are kept (default: evaluations.db in selm's cache folder)")
    .addOption(ranksOption())
    .addHelpText(
      'after',
      `
Example:
  $ selm arena make runs/arena --prompts prompts.jsonl --limit 50 \\
      --contenders base=./my-model one=runs/my/iteration-1/model judge=https://api.openai.com/v1#gpt-4.1
  $ selm studio runs`,
    )
    .action(make);
}

/** `name=place`, after those before it. */
function contender(text: string, before: Contender[] = []): Contender[] {
  const [, name = '', place = ''] = /^([\w.-]{1,64})=(.+)$/.exec(text) ?? [];
  if (name === '') throw new InvalidArgumentError('Allowed is name=place, the name of letters, digits, _, . and -.');
  if (before.some((each) => each.name === name)) throw new InvalidArgumentError(`The name ${name} is given twice.`);
  return [...before, { name, place }];
}

async function make(folder: string, options: MakeArenaOptions): Promise<void> {
  const made = await watchOnRanks({ ...options, folder }, async (listening) => {
    const { makeArena } = await import('./arena-make.ts');
    return makeArena(folder, options, listening);
  });
  if (made === null) return;
  process.stdout.write(
    `${made.prompts} prompts, ${made.bouts} bouts of different answers in ${shorterPath(folder)}; vote with:\n  ${selmCommand(['studio', folder])}\n`,
  );
}

function ratingsCommand(): Command {
  return new Command('ratings')
    .description('show the ratings that the votes so far give')
    .argument('<folder>', 'folder of an arena')
    .option('--json', 'one JSON object')
    .action((folder: string, { json }: { json?: true }) => {
      const standings = standingsOf(readArena(folder), readVotes(folder));
      process.stdout.write(`${json ? JSON.stringify(standings) : describeStandings(standings)}\n`);
    });
}

/** The ratings as a table, best first. */
function describeStandings({ contenders, votes, skipped, leftShare }: Standings): string {
  const rows = contenders.map(({ name, rating: { value, low, high }, wins, ties, losses }) => [
    name,
    value.toFixed(0),
    `[${low.toFixed(0)}, ${high.toFixed(0)}]`,
    ...[wins, ties, losses].map(String),
  ]);
  const table = formatTable(['contender', 'rating', '95 %', 'wins', 'ties', 'losses'], rows);
  const left = leftShare === null ? '' : `, ${(100 * leftShare).toFixed(0)} % of the decisions for the left`;
  return `${table}\n${votes} votes, ${skipped} of them skipped${left}`;
}

function exportCommand(): Command {
  return new Command('export')
    .description('write the votes as rows that selm train reads, or as everything that happened')
    .argument('<folder>', 'folder of an arena')
    .argument('<out>', 'new JSON Lines file')
    .addOption(
      new Option('--as <what>', 'pairs: rows in TRL’s form; events: every vote with its texts and who wrote them')
        .choices(['pairs', 'events'])
        .default('pairs'),
    )
    .action(exportVotes);
}

async function exportVotes(folder: string, output: string, { as }: { as: 'pairs' | 'events' }): Promise<void> {
  const arena = readArena(folder);
  const votes = readVotes(folder);
  const rows: readonly object[] = as === 'pairs' ? rowsOfVotes(arena, votes) : eventsOfVotes(arena, votes);
  const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await createFile(output, async (temporaryPath) => writeFileSync(temporaryPath, text));
  const use = as === 'pairs' && rows.length > 0 ? `; a recipe reads them as data.train: [${shorterPath(output)}]` : '';
  process.stdout.write(`${rows.length} ${as} written to ${shorterPath(output)}${use}\n`);
}
