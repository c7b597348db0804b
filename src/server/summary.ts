/** @file A run in a few facts: how it stands, where it is, how long it still takes, and what to do next. */
import type { SelmError } from '../errors.ts';
import { selmCommand, shellQuoted, shorterPath } from '../files/command-line.ts';
import type { QuestionLog } from '../rank/people/questions.ts';
import type { LedgerViews } from '../store/ledger-views.ts';
import type { LoggedEvent } from '../store/read-events.ts';
import { type RunCommand, readRunCommand } from '../store/run-command.ts';
import type { AnyRecipe, RunConfig } from '../store/run-config.ts';
import { fineTuningState, type RunState, runState } from '../store/run-state.ts';
import type { RunStanding, RunSummary } from './api.ts';
import { questionsLeft, votesOf } from './people.ts';
import { progressOf, secondsLeftOf } from './progress.ts';
import type { ListedRun } from './run-list.ts';

/** What a run is summed up from. */
export interface ReadRun {
  listed: ListedRun;
  config: RunConfig<AnyRecipe>;
  views: LedgerViews;
  questions: QuestionLog;
  /** The program that `selm` is, in commands to copy. */
  launcher: string;
  /** The last ones of its log. */
  events: readonly LoggedEvent[];
}

/** The facts of a run that can be read. */
export function summaryOf({ listed, config, views, questions, launcher, events }: ReadRun): RunSummary {
  const { recipe } = config;
  const isSelm = 'ranker' in recipe;
  const state = isSelm ? runState(listed.path, recipe, views.ledger) : fineTuningState(listed.path, views.ledger);
  const mayWait = state.kind === 'running' || state.kind === 'stopped';
  const waits = mayWait && isSelm ? questionsLeft(questions, recipe) : 0;
  const standing = waits > 0 ? 'waiting' : standingOf(state, events);
  const iterations = isSelm ? recipe.iterations : 0;
  const stages = views.ledger.stages.all();
  const stage = 'stage' in state ? state.stage : (stages.at(-1) ?? null);
  const progress = standing === 'running' ? progressOf(events) : null;
  const error = errorOf(state, events);
  const times = stages.flatMap((each) => (each.seconds === null ? [] : [{ ...each, seconds: each.seconds }]));
  const command = readRunCommand(listed.path);
  const beat = events.findLast((event) => event.kind === 'heartbeat');
  return {
    id: listed.id,
    name: recipe.name,
    kind: isSelm ? 'selm' : 'fine-tuning',
    asksPeople: isSelm && votesOf(recipe) !== null,
    standing,
    place: stage === null ? null : { iteration: stage.iteration, iterations, stage: stage.stage },
    progress,
    secondsLeft:
      stage === null || standing !== 'running'
        ? null
        : secondsLeftOf(times, { place: stage, iterations, ofStage: progress?.secondsLeft ?? null }),
    error,
    next:
      waits > 0 && state.kind === 'running'
        ? waitsFor(waits)
        : nextOf(standing, { path: listed.path, error, recipe, command, launcher }),
    control: state.kind === 'running' ? 'stop' : command === null || standing === 'finished' ? null : 'go-on',
    createdAt: config.createdAt,
    lastSignMs: events.at(-1)?.timeMs ?? null,
    residentBytes: standing === 'running' && beat?.kind === 'heartbeat' ? beat.residentBytes : null,
  };
}

/** A folder that looks like a run and cannot be read as one: damaged, of a newer version, locked. */
export function unreadableRun(listed: ListedRun, error: SelmError): RunSummary {
  const { code, message } = error;
  return {
    id: listed.id,
    name: listed.id,
    kind: 'selm',
    asksPeople: false,
    standing: 'unreadable',
    place: null,
    progress: null,
    secondsLeft: null,
    error: { code, message },
    next: { text: message, command: null },
    control: null,
    createdAt: null,
    lastSignMs: null,
    residentBytes: null,
  };
}

/** A stopped run whose process did not say that it ended has died. */
function standingOf(state: RunState, events: readonly LoggedEvent[]): RunStanding {
  if (state.kind !== 'stopped') return state.kind;
  const last = events.findLast(({ kind }) => kind === 'opened' || kind === 'closed' || kind === 'failed')?.kind;
  if (last === 'failed') return 'failed';
  return last === 'opened' ? 'died' : 'stopped';
}

function errorOf(state: RunState, events: readonly LoggedEvent[]): RunSummary['error'] {
  if (state.kind === 'failed' && state.stage.error !== null) return state.stage.error;
  if (state.kind === 'finished' || state.kind === 'running') return null;
  const last = events.findLast(({ kind }) => kind === 'opened' || kind === 'failed');
  return last?.kind === 'failed' ? { code: last.code, message: last.message } : null;
}

function waitsFor(questions: number): RunSummary['next'] {
  const open = questions === 1 ? '1 question is open' : `${questions} questions are open`;
  return { text: `It waits for people: ${open}; it goes on by itself`, command: null };
}

function nextOf(
  standing: RunStanding,
  {
    path,
    error,
    recipe,
    command: known,
    launcher,
  }: {
    path: string;
    error: RunSummary['error'];
    recipe: AnyRecipe;
    command: RunCommand | null;
    launcher: string;
  },
): RunSummary['next'] {
  const again = `the same \`selm ${'ranker' in recipe ? 'train' : 'sft'}\` command goes on where it stopped`;
  const command = known === null ? null : commandOf(known, launcher);
  switch (standing) {
    case 'running':
      return { text: 'It is at work: watch its curves', command: null };
    case 'waiting':
      return { text: `It waits for answers: when they are there, ${again}`, command };
    case 'failed':
      return { text: `Fix what the error says; then ${again}. ${error?.code ?? ''}`.trim(), command };
    case 'died':
      return {
        text: `Its process is gone and did not say why (killed, or the machine stopped): ${again}`,
        command,
      };
    case 'stopped':
      return { text: `It was stopped: ${again}`, command };
    case 'finished': {
      const model = 'ranker' in recipe ? `${path}/iteration-${recipe.iterations}/model` : `${path}/model`;
      return {
        text: 'It is finished: read its report, or talk to its model',
        command: selmCommand(['generate', shorterPath(model), '--prompt', 'Hello'], { launcher }),
      };
    }
    case 'unreadable':
      return { text: 'It cannot be read', command: null };
  }
}

/** The command that goes on with a run, from where the studio was started. */
function commandOf({ words, directory }: RunCommand, launcher: string): string {
  const command = selmCommand(words, { launcher, directory });
  return directory === process.cwd() ? command : `cd ${shellQuoted(directory)} && ${command}`;
}
