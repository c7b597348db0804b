/**
 * @file Long commands such as `selm train` and `selm sft`: progress on stderr, the result on stdout. The first signal saves
 * the state and prints the command that continues.
 */
import { existsSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { EngineError, InterruptedError, RankLostError } from '../errors.ts';
import { selmCommand } from '../files/command-line.ts';
import type { Watch } from '../store/events.ts';
import { writeRunCommand } from '../store/run-command.ts';
import { coloursOf } from './colour.ts';
import { wrapped } from './format.ts';
import { openProgress, tolerant } from './progress.ts';
import { listenForStop } from './signals.ts';

export interface LongRunOptions {
  set: string[];
  json?: true;
  quiet?: true;
  acceptChanges?: true;
  resume?: true;
}

/** Options that every long run takes. */
export function withRunOptions(command: Command): Command {
  return command
    .option('--set <key.path=value>', 'change a setting of the recipe for this run; may be repeated', collect, [])
    .option(
      '--accept-changes',
      'continue although the recipe or its files changed: finished work stays, the rest is redone',
    )
    .addOption(new Option('--resume', 'not needed: a run always goes on').hideHelp())
    .option('--json', 'print every event as a line of JSON on stdout')
    .option('--quiet', 'print warnings and the result only');
}

/** What happens on a signal, for the help. */
export const SIGNALS_HELP = `
Ctrl-C (or SIGTERM) once: stop after the current micro-batch or token, save, print the command that continues; exit code
130 (143). Twice: stop at once; finished work is still safe.
`;

const STOPPING =
  'stopping after this micro-batch or token, and saving what is whole; press Ctrl-C again to stop at once';
/** Takes a bar away that stands on the terminal's last line. */
const CLEAR_LINE = '\r\x1b[2K';

export interface LongRun<Outcome extends object> {
  /** The command line that goes on, without --set: `['train', 'recipe.yaml']`. */
  command: readonly string[];
  recipe: { name: string; output: string };
  iterations: number;
  /** Shown before the work. */
  introduction: string;
  work(watching: { watch: Watch; signal: AbortSignal }): Promise<Outcome>;
  /** Shown after it. */
  describe(outcome: Outcome): string;
}

/** Runs it. An interruption sets the exit code of the process; other errors are thrown. */
export async function runWatched<Outcome extends object>(
  { command, recipe, iterations, introduction, work, describe }: LongRun<Outcome>,
  options: LongRunOptions,
): Promise<void> {
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  if (options.json === undefined && options.quiet === undefined) say(wrapped(introduction, process.stderr.columns));
  if (options.resume) say('--resume is not needed: the same command always goes on where a run stopped');
  const progress = openProgress(process.stderr, { run: recipe.name, iterations, colours: coloursOf(process.stderr) });
  let answersAtOnce = false;
  const stop = listenForStop((name) => {
    progress.close();
    if (!answersAtOnce) say(`${name}: ${STOPPING}`);
  });
  try {
    answersAtOnce = await answerWhileBusy();
    const watch = keepingCommand(watcherFor(options, progress.watch), recipe.output, [
      ...command,
      ...changesOf(options),
    ]);
    const outcome = await work({ watch: tolerant(watch, say), signal: stop.signal });
    progress.close();
    const result = options.json ? JSON.stringify({ kind: 'run-finished', ...outcome }) : describe(outcome);
    process.stdout.write(`${result}\n`);
  } catch (error) {
    progress.close();
    const resume = selmCommand([...command, ...changesOf(options)]);
    if (error instanceof RankLostError && !options.json)
      say(
        `Everything finished is saved in ${recipe.output}; once the cause is gone, go on with (any number of ranks):\n  ${resume}`,
      );
    if (!(error instanceof InterruptedError)) throw error;
    const isWaiting = error.code === 'WAITING_FOR_PEOPLE';
    if (!isWaiting && stop.received === null) throw error;
    if (options.json)
      process.stdout.write(`${JSON.stringify({ kind: 'run-stopped', reason: error.message, resume })}\n`);
    else say(`${error.message}\nEverything finished is saved in ${recipe.output}; go on with:\n  ${resume}`);
    process.exitCode = isWaiting ? 0 : stop.received?.exitCode;
  } finally {
    stop.close();
  }
}

function changesOf({ set }: LongRunOptions): string[] {
  return set.flatMap((text) => ['--set', text]);
}

/** Keeps the command in the run's folder when the run tells its first event: the folder is there by then. */
function keepingCommand(watch: Watch, runPath: string, words: readonly string[]): Watch {
  let isKept = false;
  return (event) => {
    if (!isKept && existsSync(runPath)) {
      isKept = true;
      writeRunCommand(runPath, { words, directory: process.cwd() });
    }
    watch(event);
  };
}

/** Has the engine answer signals while it computes; false where there is no engine, which the work itself will say. */
async function answerWhileBusy(): Promise<boolean> {
  const { answerSignals } = await import('../torch/signals.ts');
  try {
    return answerSignals(process.stderr.isTTY ? CLEAR_LINE : '', STOPPING);
  } catch (error) {
    if (error instanceof EngineError) return false;
    throw error;
  }
}

function watcherFor({ json, quiet }: LongRunOptions, draw: Watch): Watch {
  if (json) return (event) => void process.stdout.write(`${JSON.stringify(event)}\n`);
  if (quiet) return (event) => (event.kind === 'warning' ? draw(event) : undefined);
  return draw;
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}
