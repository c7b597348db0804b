/**
 * @file IFEval (Zhou et al. 2023, https://arxiv.org/abs/2311.07911): requests with instructions that a program can check, such as "in more
 * than 400 words". By prompt (all instructions are followed) and by instruction; strictly, and loosely: then it is enough when the
 * answer follows without its first or last line or without Markdown's stars.
 */
import type { Benchmark, Scores } from '../../benchmark.ts';
import { isTexts } from '../choices.ts';
import type { Follows } from './instruction.ts';
import { INSTRUCTIONS } from './instructions.ts';
import { strip } from './python-text.ts';

/** As lm-evaluation-harness runs it: the prompt as it is, up to 1,280 tokens. */
export const ifeval: Benchmark = {
  name: 'ifeval',
  title: 'IFEval',
  shots: 0,
  examples: { kind: 'none' },
  rows: { hub: 'hub:google/IFEval:ifeval_input_data.jsonl', file: /^(ifeval_)?input_data|^train/ },
  mainMetric: 'prompt_level_strict_acc',
  readItem(row) {
    if (typeof row.prompt !== 'string') return { problem: 'it has no prompt' };
    const read = readInstructions(row);
    if ('problem' in read) return read;
    return {
      text: row.prompt,
      target: null,
      question: { kind: 'generation', stops: [], maxNewTokens: 1280, score: (answer) => scoresOf(read, answer) },
    };
  },
};

/** Whether each instruction is followed: strictly, and loosely. */
export function followed(instructions: readonly Follows[], answer: string): { strict: boolean[]; loose: boolean[] } {
  const any = (texts: readonly string[]): boolean[] =>
    instructions.map((follows) => texts.some((text) => strip(text) !== '' && follows(text)));
  return { strict: any([answer]), loose: any(looseReadings(answer)) };
}

/** The instructions of a row; one that is not known, or whose settings are not there, is a problem. */
export function readInstructions(row: Readonly<Record<string, unknown>>): Follows[] | { problem: string } {
  const { instruction_id_list: names, kwargs } = row;
  if (!isTexts(names) || names.length === 0) return { problem: 'it has no instruction_id_list' };
  if (!Array.isArray(kwargs) || kwargs.length !== names.length) {
    return { problem: 'it has no kwargs for each of its instructions' };
  }
  const instructions: Follows[] = [];
  for (const [place, name] of names.entries()) {
    const instruction = INSTRUCTIONS.get(name);
    if (instruction === undefined) return { problem: `its instruction ${JSON.stringify(name)} is not known` };
    const follows = instruction(withoutEmpty(kwargs[place]));
    if ('problem' in follows) return { problem: `its instruction ${name}: ${follows.problem}` };
    instructions.push(follows);
  }
  return instructions;
}

/** A table of all settings has nulls where an instruction has none of that name. */
function withoutEmpty(settings: unknown): unknown {
  if (typeof settings !== 'object' || settings === null) return settings;
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));
}

function looseReadings(answer: string): string[] {
  const lines = answer.split('\n');
  const cut = [lines.slice(1), lines.slice(0, -1), lines.slice(1, -1)].map((kept) => strip(kept.join('\n')));
  const readings = [answer, ...cut];
  return [...readings, ...readings.map((text) => text.replaceAll('*', ''))];
}

function scoresOf(instructions: readonly Follows[], answer: string): Scores {
  const { strict, loose } = followed(instructions, answer);
  const asNumbers = (verdicts: readonly boolean[]): number[] => verdicts.map(Number);
  const whole = (verdicts: readonly boolean[]): number => (verdicts.every(Boolean) ? 1 : 0);
  return {
    prompt_level_strict_acc: whole(strict),
    inst_level_strict_acc: asNumbers(strict),
    prompt_level_loose_acc: whole(loose),
    inst_level_loose_acc: asNumbers(loose),
  };
}
