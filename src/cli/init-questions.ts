/** @file The four questions of `selm init`: what was not given as an option is asked for, and wrong answers asked again. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { readNamedRecords } from '../data/known-forms.ts';
import { neededFields } from '../data/rows.ts';
import { UsageError } from './errors.ts';

export interface InitAnswers {
  /** Model folder. */
  model: string;
  /** JSONL or Parquet file. */
  data: string;
  /** Reward module, there or to be written. */
  reward: string;
  name: string;
}

const QUESTIONS: readonly { key: keyof InitAnswers; text: string; problem: (answer: string) => string | null }[] = [
  { key: 'model', text: 'Folder of the model to start from', problem: modelProblem },
  {
    key: 'data',
    text: 'Data file (JSONL or Parquet: prompts, or prompts with chosen and rejected)',
    problem: fileProblem,
  },
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
  return statSync(path, { throwIfNoEntry: false })?.isFile()
    ? null
    : 'there is no such file: give a JSONL or Parquet file';
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
export async function inspectData(path: string): Promise<{ rows: 'pairs' | 'prompts'; count: number }> {
  let rows: 'pairs' | 'prompts' = 'prompts';
  let count = 0;
  for await (const record of readNamedRecords([path], neededFields)) {
    if (count === 0 && record.kind === 'record' && 'chosen' in record.value) rows = 'pairs';
    count += 1;
  }
  return { rows, count };
}
