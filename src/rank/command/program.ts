/**
 * @file A program that answers questions: one line of JSON each on its standard input, one line of JSON back on its standard
 * output, matched by `id`, in any order. It is started once and never again: where it ends, breaks the form or falls silent,
 * all that was asked fails with what it wrote on standard error.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { RankerError, shownValue } from '../../errors.ts';
import { jsonProblem } from '../../files/json-problem.ts';

export interface ProgramOptions {
  /** Program and arguments; no shell reads them. */
  command: readonly string[];
  /** Folder that it runs in. */
  folder: string;
  /** Hears each line that it writes on standard error. */
  tell: (line: string) => void;
}

interface OpenQuestion {
  resolve: (answer: Record<string, unknown>) => void;
  reject: (error: unknown) => void;
}

/** Lines of standard error that an error shows: the end of a Python traceback with room to spare. */
const LAST_LINES = 12;
/** How long a program may take to end after its input ended. */
const CLOSE_MS = 5000;

/** A running program. */
export class Program {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #open = new Map<number, OpenQuestion>();
  readonly #lastLines: string[] = [];
  #nextId = 0;
  #silenceMs = 0;
  #silence: NodeJS.Timeout | null = null;
  #failure: unknown = null;

  private constructor(child: ChildProcess, { command, tell }: ProgramOptions) {
    this.#child = child;
    this.#name = command.join(' ');
    if (child.stdin === null || child.stdout === null || child.stderr === null)
      throw new Error('A program without pipes');
    child.stdin.on('error', () => {}); // a program that is gone: its end is told below
    createInterface({ input: child.stdout }).on('line', (line) => this.#hear(line));
    createInterface({ input: child.stderr }).on('line', (line) => {
      this.#lastLines.push(line);
      if (this.#lastLines.length > LAST_LINES) this.#lastLines.shift();
      tell(line);
    });
    child.on('close', (code, signal) => {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      this.fail(
        this.#error('RANKER_CRASHED', `ended ${how} before it had answered: read what it wrote, fix it, and run again`),
      );
    });
  }

  /** Starts it. RankerError RANKER_COMMAND_MISSING where there is no such program or folder. */
  static async start(options: ProgramOptions): Promise<Program> {
    const [file = '', ...rest] = options.command;
    // A group of its own, so that Ctrl-C reaches selm, which then ends the program when it is done with it.
    const child = spawn(file, rest, { cwd: options.folder, stdio: 'pipe', detached: true });
    const program = new Program(child, options);
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => {
        reject(
          new RankerError(
            'RANKER_COMMAND_MISSING',
            `Cannot start the ranker "${options.command.join(' ')}" in ${options.folder}: ${cause.message}: set ranker.command to a program that is installed (its path, or a name that the shell finds) and ranker.folder to where it runs`,
            { cause, details: { command: options.command } },
          ),
        );
      });
    });
    return program;
  }

  /** Why nothing more will be answered; null while it works. */
  get failure(): unknown {
    return this.#failure;
  }

  /**
   * Asks one question and awaits its answer, at most `silenceMs` after the answer before it.
   *
   * @throws RankerError RANKER_TIMEOUT, RANKER_CRASHED, RANKER_PROTOCOL
   */
  ask(question: Record<string, unknown>, { silenceMs }: { silenceMs: number }): Promise<Record<string, unknown>> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
      this.#silenceMs = silenceMs;
      if (this.#open.size === 1) this.#listen();
      this.#child.stdin?.write(`${JSON.stringify({ id, ...question })}\n`);
    });
  }

  /** Ends the program, and with `reason` all that was asked. */
  fail(reason: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = reason;
    clearTimeout(this.#silence ?? undefined);
    for (const { reject } of this.#open.values()) reject(reason);
    this.#open.clear();
    this.#kill();
  }

  /** Ends its input, and gives it a few seconds to end by itself. */
  async close(): Promise<void> {
    this.#failure ??= this.#error('RANKER_CLOSED', 'was closed');
    clearTimeout(this.#silence ?? undefined);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#kill(), CLOSE_MS);
    await ended;
    clearTimeout(timer);
  }

  #kill(): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(-pid, 'SIGKILL'); // the group: what it started too
    } catch {
      // It ended in this moment.
    }
  }

  /** Starts the time limit of a silence anew. */
  #listen(): void {
    clearTimeout(this.#silence ?? undefined);
    if (this.#open.size === 0) return;
    const silenceMs = this.#silenceMs;
    this.#silence = setTimeout(() => {
      const wait = `has not answered for ${silenceMs} ms: make it faster, or raise ranker.timeoutMs`;
      this.fail(this.#error('RANKER_TIMEOUT', wait));
    }, silenceMs);
  }

  #hear(line: string): void {
    if (this.#failure !== null || line.trim() === '') return;
    try {
      const { id, fields } = this.#answerIn(line);
      const question = this.#open.get(id);
      this.#open.delete(id);
      this.#listen();
      question?.resolve(fields);
    } catch (error) {
      this.fail(error);
    }
  }

  /** The answer that a line holds to a question that waits. */
  #answerIn(line: string): { id: number; fields: Record<string, unknown> } {
    let answer: unknown;
    try {
      answer = JSON.parse(line);
    } catch (error) {
      const reason = `wrote a line on standard output that is not JSON (${jsonProblem(line, error)}): ${shownValue(line, 120)}: standard output is for answers, write other text to standard error`;
      throw this.#error('RANKER_PROTOCOL', reason);
    }
    const fields = typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {};
    if (typeof fields.id === 'number' && this.#open.has(fields.id)) return { id: fields.id, fields };
    const reason = `answered ${shownValue(answer, 120)}, whose "id" is none of a question that waits: give back the id of the line that it answers`;
    throw this.#error('RANKER_PROTOCOL', reason);
  }

  #error(code: string, what: string): RankerError {
    const said =
      this.#lastLines.length === 0 ? '' : `\nIts last lines on standard error:\n${this.#lastLines.join('\n')}`;
    return new RankerError(code, `the command "${this.#name}" ${what}${said}`, { details: { command: this.#name } });
  }
}
