/** @file The program `selm`: its commands, in the order in which a newcomer needs them. main.ts runs it. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { benchCommand } from './bench/bench.ts';
import { cleanCommand } from './clean.ts';
import { compareCommand } from './compare.ts';
import { completionCommand } from './completion.ts';
import { dataCommand } from './data.ts';
import { doctorCommand } from './doctor.ts';
import { engineCommand } from './engine.ts';
import { evalCommand } from './eval/eval.ts';
import { exportCommand } from './export.ts';
import { generateCommand } from './generate.ts';
import { importCommand } from './import.ts';
import { initCommand } from './init.ts';
import { mergeCommand } from './merge.ts';
import { metricsCommand } from './metrics.ts';
import { pairsCommand } from './pairs.ts';
import { rankCommand } from './rank.ts';
import { reportCommand } from './report.ts';
import { runsCommand } from './runs.ts';
import { sftCommand } from './sft.ts';
import { studioCommand } from './studio.ts';
import { sweepCommand } from './sweep.ts';
import { trainCommand } from './train.ts';

/** The whole command line. Wrong use is told (unless `silent`) and throws commander's CommanderError. */
export function createProgram({ usage = 'text' }: { usage?: 'text' | 'silent' } = {}): Command {
  const program = new Command('selm')
    .description('Align language models online: sample, rank, pair, train with an optimism term, repeat (SELM)')
    .enablePositionalOptions()
    .version(packageVersion(), '-V, --version', 'print the version')
    .addCommand(initCommand())
    .addCommand(importCommand())
    .addCommand(sftCommand())
    .addCommand(trainCommand())
    .addCommand(sweepCommand())
    .addCommand(generateCommand())
    .addCommand(rankCommand())
    .addCommand(evalCommand())
    .addCommand(mergeCommand())
    .addCommand(exportCommand())
    .addCommand(metricsCommand())
    .addCommand(pairsCommand())
    .addCommand(reportCommand())
    .addCommand(compareCommand())
    .addCommand(studioCommand())
    .addCommand(runsCommand())
    .addCommand(cleanCommand())
    .addCommand(benchCommand())
    .addCommand(dataCommand())
    .addCommand(doctorCommand())
    .addCommand(engineCommand())
    .addCommand(completionCommand(createProgram))
    .addHelpText('after', '\nStart with:\n  $ selm doctor\n  $ selm train recipes/quickstart.yaml');
  for (const command of withDescendants(program)) {
    command.exitOverride().showHelpAfterError('(--help shows the options)');
    if (usage === 'silent') command.configureOutput({ writeErr: () => {} });
  }
  return program;
}

/** A command and all commands below it. */
export function withDescendants(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withDescendants)];
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string; // our own file
  };
  return version;
}
