/**
 * @file Shows a running loop to a person: on a terminal one bar for the work in progress and one line for each finished
 * stage; elsewhere plain lines. Of a run and a twin beside it the bar is the run's, until that has finished. It only watches:
 * what fails here never stops the run (`tolerant`).
 */
import type { LoopEvent, StageName, Watch } from '../store/events.ts';
import { type Colours, PLAIN } from './colour.ts';
import { formatDuration, formatRate, wrapped } from './format.ts';

/** Where lines go: process.stderr, or a list in a test. `columns` is undefined where there is no terminal. */
export interface Output {
  write(text: string): unknown;
  readonly columns?: number | undefined;
}

export interface ProgressOptions {
  /** Name of the recipe's run; the events of another are of its twin. */
  run: string;
  iterations: number;
  /** Milliseconds; only differences count. @default performance.now */
  clock?: () => number;
  /** @default none */
  colours?: Colours;
}

type Started = Extract<LoopEvent, { kind: 'stage-started' }>;

/** The stage in progress of a run, when it began, and when it was drawn last. */
interface Shown {
  started: Started;
  startedMs: number;
  drawnMs: number;
}

/** Least time between two drawings of the bar, and between two lines where there is no terminal. */
const BAR_MS = 100;
const LINE_MS = 10_000;
const BAR_WIDTH = 24;

/** A watcher that draws, and `close`, which takes the bar away; call it before writing anything else. */
export function openProgress(output: Output, options: ProgressOptions): { watch: Watch; close(): void } {
  const { run, iterations, clock = () => performance.now(), colours = PLAIN } = options;
  const isTerminal = output.columns !== undefined;
  /** The stages in progress, by run. */
  const inProgress = new Map<string, Shown>();
  let barShown = false;

  const clear = (): void => {
    if (barShown) output.write('\r\x1b[2K');
    barShown = false;
  };
  const line = (text: string): void => {
    clear();
    output.write(`${wrapped(text, output.columns)}\n`.replace(/^warning:/, colours.warning));
  };
  const ofTwin = (event: { run: string }, mark: string): string => (event.run === run ? '' : mark);
  const place = (event: { run: string; iteration: number; stage: StageName }): string =>
    ofTwin(event, 'twin, ') + placeOf(event.iteration, event.stage, iterations);

  function draw(ofRun: string, done: number, detail: string | undefined): void {
    const shown = inProgress.get(ofRun);
    if (shown === undefined) return;
    // One bar: the run's own, where it has work in progress.
    if (isTerminal && ofRun !== run && inProgress.has(run)) return;
    const now = clock();
    if (now - shown.drawnMs < (isTerminal ? BAR_MS : LINE_MS)) return;
    shown.drawnMs = now;
    const { started } = shown;
    const pace = paceText(started, done, (now - shown.startedMs) / 1000);
    const text = [pace, detail].filter((part) => part !== undefined && part !== '').join(', ');
    const where = place(started);
    if (!isTerminal) {
      line(`${where}  ${text}`);
      return;
    }
    // A line that wraps could not be taken back.
    const bar = cut(`${where} ${barText(done, started.total)} ${text}`, (output.columns ?? 80) - 1);
    output.write(`\r\x1b[2K${bar.replace(/█+/, colours.bar)}`);
    barShown = true;
  }

  function watch(event: LoopEvent): void {
    switch (event.kind) {
      case 'stage-started': {
        const now = clock();
        inProgress.set(event.run, {
          started: event,
          startedMs: now,
          drawnMs: isTerminal ? Number.NEGATIVE_INFINITY : now,
        });
        const already = event.done > 0 ? `, ${event.done} of them done already` : '';
        if (!isTerminal || event.done > 0) line(`${place(event)}  ${event.total} ${event.unit}${already}`);
        draw(event.run, event.done, undefined);
        break;
      }
      case 'stage-progress':
        draw(event.run, event.done, event.detail);
        break;
      case 'stage-finished':
        inProgress.delete(event.run);
        line(`${place(event)}  ${event.summary} (${formatDuration(event.seconds)})`);
        break;
      case 'stage-skipped':
        line(`${place(event)}  finished before`);
        break;
      case 'metrics':
        break; // the bar's detail shows the loss; `selm metrics` shows all
      case 'note':
        line(`${ofTwin(event, 'twin: ')}${event.text}`);
        break;
      case 'warning':
        line(`warning: ${ofTwin(event, 'twin: ')}${event.text}`);
    }
  }
  return { watch, close: clear };
}

/** What iteration 0 is called at its stages; the others are those of a warm start. */
const BEFORE = new Map<StageName, string>([
  ['data', 'before'],
  ['sft', 'fine-tuning'],
  ['evaluate', 'base model'],
  ['benchmark', 'base model'],
  ['alpaca', 'base model'],
  ['mt-bench', 'base model'],
]);

/** `iteration 1/3 sample   `, padded so that lines stand below each other. */
function placeOf(iteration: number, stage: StageName, iterations: number): string {
  const before = BEFORE.get(stage) ?? 'warm start';
  const where = iteration === 0 ? before : `iteration ${iteration}/${iterations}`;
  return `${where.padEnd(`iteration ${iterations}/${iterations}`.length)} ${stage.padEnd('reference'.length)}`;
}

/** `12/256 responses, 3.1/s, 1 min 19 s left`; the pace is of this attempt only. */
function paceText({ total, done: before, unit }: Started, done: number, seconds: number): string {
  const count = `${done}/${total} ${unit}`;
  if (done <= before || seconds <= 0) return count;
  const rate = (done - before) / seconds;
  return `${count}, ${formatRate(rate)}, ${formatDuration((total - done) / rate)} left`;
}

function cut(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text;
}

function barText(done: number, total: number): string {
  const full = total > 0 ? Math.round((Math.min(done, total) / total) * BAR_WIDTH) : BAR_WIDTH;
  return '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full);
}

/** A watcher that cannot end the run: after its first failure it is left alone, and `report` hears of it once. */
export function tolerant(watch: Watch, report: (text: string) => void): Watch {
  let failed = false;
  return (event) => {
    if (failed) return;
    try {
      watch(event);
    } catch (error) {
      failed = true;
      try {
        report(
          `The display failed and is off; the run goes on: ${error instanceof Error ? error.message : String(error)}`,
        );
      } catch {
        // Nobody is left to tell.
      }
    }
  };
}
