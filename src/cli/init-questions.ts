/** @file The four questions of `selm init`: what was not given as an option is asked for, and wrong answers asked again. */
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { UsageError } from './errors.ts';

export interface InitAnswers {
  /** Model folder. */
  model: string;
  /** JSONL file. */
  data: string;
  /** Reward module, there or to be written. */
  reward: string;
  name: string;
}

const QUESTIONS: readonly { key: keyof InitAnswers; text: string; problem: (answer: string) => string | null }[] = [
  { key: 'model', text: 'Folder of the model to start from', problem: modelProblem },
  { key: 'data', text: 'Data file (JSONL: prompts, or prompts with chosen and rejected)', problem: fileProblem },
  { key: 'reward', text: 'Module that scores responses (written when it is not there)', problem: moduleProblem },
  { key: 'name', text: 'Name of the run', problem: nameProblem },
];

/**
 * All answers: the given ones checked, the others asked for on the terminal or taken from the defaults. Throws UsageError
 * for a wrong or missing one that cannot be asked for.
 */
export async function askMissing(
  given: Partial<InitAnswers>,
  { defaults, ask }: { defaults: Partial<InitAnswers>; ask: 'terminal' | 'never' },
): Promise<InitAnswers> {
  const terminal = ask === 'terminal' ? createInterface({ input: process.stdin, output: process.stderr }) : null;
  const answers: InitAnswers = { model: '', data: '', reward: '', name: '' };
  try {
    for (const { key, text, problem } of QUESTIONS) {
      let answer = given[key] ?? (terminal === null ? defaults[key] : undefined);
      while (answer === undefined && terminal !== null) {
        const usual = defaults[key] === undefined ? '' : ` [${defaults[key]}]`;
        const typed = (await terminal.question(`${text}${usual}: `)).trim() || (defaults[key] ?? '');
        const wrong = problem(typed);
        if (wrong === null) answer = typed;
        else console.error(`  ${typed === '' ? 'it has to be given' : wrong}`);
      }
      if (answer === undefined) throw new UsageError(`Cannot write a recipe: --${key} is missing: ${text}`);
      const wrong = problem(answer);
      if (wrong !== null) throw new UsageError(`Cannot use --${key} ${JSON.stringify(answer)}: ${wrong}`);
      answers[key] = answer;
    }
  } finally {
    terminal?.close();
  }
  return answers;
}

function modelProblem(folder: string): string | null {
  if (!existsSync(folder))
    return 'there is no such folder: give one with config.json, tokenizer.json and *.safetensors';
  return existsSync(join(folder, 'config.json')) ? null : 'it has no config.json: give a folder in Hugging Face layout';
}

function fileProblem(path: string): string | null {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ? null : 'there is no such file: give a JSONL file';
}

function moduleProblem(path: string): string | null {
  return /\.(ts|mts|js|mjs)$/.test(path) ? null : 'a module ends with .ts, .mts, .js or .mjs';
}

function nameProblem(name: string): string | null {
  return /^[a-z0-9][a-z0-9_-]{0,63}$/.test(name)
    ? null
    : 'allowed are up to 64 of a-z, 0-9, - and _, the first a letter or digit';
}

/** What a data file brings: pairs or prompts alone by the fields of its first row (the run checks every row), and how many. */
export function inspectData(path: string): { rows: 'pairs' | 'prompts'; count: number } {
  const file = openSync(path, 'r');
  try {
    const chunk = Buffer.alloc(1 << 20); // longer than any row that fits a model
    let size = readSync(file, chunk);
    const first: unknown = JSON.parse(chunk.toString('utf8', 0, size).split('\n', 1)[0] ?? '');
    let count = 0;
    while (size > 0) {
      for (let at = chunk.indexOf(10); at >= 0 && at < size; at = chunk.indexOf(10, at + 1)) count++;
      size = readSync(file, chunk);
    }
    return { rows: typeof first === 'object' && first !== null && 'chosen' in first ? 'pairs' : 'prompts', count };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UsageError(`Cannot use data file "${path}": its first line is no JSON: give a JSONL file`);
  } finally {
    closeSync(file);
  }
}
