/** @file The four questions of `selm init`. It asks for what no option gave, and asks again after a wrong answer. */
import { readdirSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { InterruptedError } from '../errors.ts';
import { modelFolderProblem } from '../files/model-folder.ts';
import { isHubName, parseHubName } from '../hub/name.ts';
import { UsageError } from './errors.ts';

export interface InitAnswers {
  /** Model folder, or hub:owner/name. */
  model: string;
  /** Data file. */
  data: string;
  /** Reward module, there or to be written, or a program that is there. */
  reward: string;
  name: string;
}

const QUESTIONS: readonly { key: keyof InitAnswers; text: string; problem: (answer: string) => string | null }[] = [
  { key: 'model', text: 'Model to start from (a folder, or hub:owner/name)', problem: modelProblem },
  {
    key: 'data',
    text: 'Data file (JSON Lines, JSON, CSV or Parquet: prompts, or prompts with chosen and rejected)',
    problem: fileProblem,
  },
  { key: 'reward', text: 'Module that scores responses (written when it is not there)', problem: moduleProblem },
  { key: 'name', text: 'Name of the run', problem: nameProblem },
];

/** Where questions are asked. */
export interface Terminal {
  input: NodeJS.ReadableStream;
  output: NodeJS.WritableStream;
}

/**
 * All answers: the given ones checked, the others asked for on the terminal (null: taken from the defaults). Throws UsageError
 * for a wrong or missing one that cannot be asked for, and InterruptedError when the user leaves a question by Ctrl-C or Ctrl-D.
 */
export async function askMissing(
  given: Partial<InitAnswers>,
  { defaults, terminal }: { defaults: Partial<InitAnswers>; terminal: Terminal | null },
): Promise<InitAnswers> {
  const questions = terminal === null ? null : openQuestions(terminal);
  const answers: InitAnswers = { model: '', data: '', reward: '', name: '' };
  try {
    for (const { key, text, problem } of QUESTIONS) {
      let answer = given[key] ?? (questions === null ? defaults[key] : undefined);
      while (answer === undefined && questions !== null) {
        const usual = defaults[key] === undefined ? '' : ` [${defaults[key]}]`;
        const typed = (await questions.ask(`${text}${usual}: `)).trim() || (defaults[key] ?? '');
        const wrong = problem(typed);
        if (wrong === null) answer = typed;
        else questions.say(`  ${typed === '' ? 'it has to be given' : wrong}`);
      }
      if (answer === undefined) throw new UsageError(`Cannot write a recipe: --${key} is missing: ${text}`);
      const wrong = problem(answer);
      if (wrong !== null) throw new UsageError(`Cannot use --${key} ${JSON.stringify(answer)}: ${wrong}`);
      answers[key] = answer;
    }
  } finally {
    questions?.close();
  }
  return answers;
}

/** Questions with Tab for paths. Leaving one by Ctrl-C or Ctrl-D is an InterruptedError. */
function openQuestions({ input, output }: Terminal): {
  ask(text: string): Promise<string>;
  say(text: string): void;
  close(): void;
} {
  const lines = createInterface({ input, output, terminal: true, completer: completePath });
  const left = new Promise<never>((_, reject) => {
    lines.once('close', () => reject(new InterruptedError('QUESTION_LEFT', 'A question was left without an answer')));
  });
  left.catch(() => {}); // heard by whoever waits for an answer
  return {
    // Ctrl-C rejects the question itself, with an error of Node's; Ctrl-D only closes. Either way the lines are closed.
    ask: (text) => Promise.race([lines.question(text).catch(() => left), left]),
    say: (text) => void output.write(`${text}\n`),
    close: () => lines.close(),
  };
}

/** What Tab makes of the beginning of a path; folders end in a slash. */
export function completePath(line: string): [string[], string] {
  const folder = line.slice(0, line.lastIndexOf('/') + 1);
  const start = line.slice(folder.length);
  try {
    const entries = readdirSync(folder === '' ? '.' : folder, { withFileTypes: true });
    const found = entries.filter(({ name }) => name.startsWith(start) && (start !== '' || !name.startsWith('.')));
    return [found.map((entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`).sort(), line];
  } catch {
    return [[], line]; // no such folder: nothing to complete
  }
}

function modelProblem(place: string): string | null {
  if (!isHubName(place)) return modelFolderProblem(place);
  const name = parseHubName(place, { part: 'refused' });
  return 'problem' in name ? `it ${name.problem}` : null;
}

function fileProblem(path: string): string | null {
  return statSync(path, { throwIfNoEntry: false })?.isFile()
    ? null
    : 'there is no such file: give JSON Lines, JSON, CSV or Parquet';
}

function moduleProblem(path: string): string | null {
  if (/\.(ts|mts|js|mjs)$/.test(path)) return null;
  if (statSync(path, { throwIfNoEntry: false })?.isFile()) return null; // a program, run by the ranker kind command
  return 'a module ends with .ts, .mts, .js or .mjs; a program in another language has to be there already (docs/rewards.md)';
}

function nameProblem(name: string): string | null {
  return /^[a-z0-9][a-z0-9_-]{0,63}$/.test(name)
    ? null
    : 'allowed are up to 64 of a-z, 0-9, - and _, the first a letter or digit';
}
