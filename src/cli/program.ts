/** @file The program `selm`: its commands, in the order in which a newcomer needs them. main.ts runs it. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';

/** Each is loaded when it is called: all of them together take longer than what most of them do. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  init: async () => (await import('./init.ts')).initCommand(),
  import: async () => (await import('./import.ts')).importCommand(),
  sft: async () => (await import('./sft.ts')).sftCommand(),
  train: async () => (await import('./train.ts')).trainCommand(),
  sweep: async () => (await import('./sweep.ts')).sweepCommand(),
  generate: async () => (await import('./generate.ts')).generateCommand(),
  rank: async () => (await import('./rank.ts')).rankCommand(),
  eval: async () => (await import('./eval/eval.ts')).evalCommand(),
  merge: async () => (await import('./merge.ts')).mergeCommand(),
  export: async () => (await import('./export.ts')).exportCommand(),
  push: async () => (await import('./push.ts')).pushCommand(),
  metrics: async () => (await import('./metrics.ts')).metricsCommand(),
  pairs: async () => (await import('./pairs.ts')).pairsCommand(),
  report: async () => (await import('./report.ts')).reportCommand(),
  compare: async () => (await import('./compare.ts')).compareCommand(),
  studio: async () => (await import('./studio.ts')).studioCommand(),
  afterwards: async () => (await import('./afterwards.ts')).afterwardsCommand(),
  arena: async () => (await import('./arena.ts')).arenaCommand(),
  runs: async () => (await import('./runs.ts')).runsCommand(),
  clean: async () => (await import('./clean.ts')).cleanCommand(),
  bench: async () => (await import('./bench/bench.ts')).benchCommand(),
  data: async () => (await import('./data.ts')).dataCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(),
  engine: async () => (await import('./engine.ts')).engineCommand(),
  completion: async () => (await import('./completion.ts')).completionCommand(wholeProgram),
};

/** How a program treats wrong use: it is told (unless `silent`), and throws commander's CommanderError. */
interface ProgramOptions {
  usage?: 'text' | 'silent';
}

/** The command line with every command. */
export function wholeProgram(options: ProgramOptions = {}): Promise<Command> {
  return programWith(Object.keys(COMMANDS), options);
}

/** The command line as far as it takes to answer these words: their command, or every one where they name none. */
export function programFor([first = '']: readonly string[], options: ProgramOptions = {}): Promise<Command> {
  return Object.hasOwn(COMMANDS, first) ? programWith([first], options) : wholeProgram(options);
}

async function programWith(names: readonly string[], { usage = 'text' }: ProgramOptions): Promise<Command> {
  const program = new Command('selm')
    .description('Align language models online: sample, rank, pair, train with an optimism term, repeat (SELM)')
    .enablePositionalOptions()
    .version(packageVersion(), '-V, --version', 'print the version')
    .addHelpText('after', '\nStart with:\n  $ selm doctor\n  $ selm train recipes/quickstart.yaml');
  for (const name of names) {
    const command = await COMMANDS[name]?.();
    if (command !== undefined) program.addCommand(command);
  }
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
