/** @file One kind of instruction of IFEval: which settings it has, and whether an answer follows it. */
import { z } from 'zod';

/** Whether an answer, which is not blank, follows an instruction. */
export type Follows = (answer: string) => boolean;

/** A kind of instruction: reads a row's settings of it. */
export type Instruction = (settings: unknown) => Follows | { problem: string };

/** An instruction by the form of its settings. */
export function instruction<Settings>(
  form: z.ZodType<Settings>,
  follows: (settings: Settings, answer: string) => boolean,
): Instruction {
  return (settings) => {
    const parsed = form.safeParse(settings);
    if (parsed.success) return (answer) => follows(parsed.data, answer);
    const [issue] = parsed.error.issues;
    return { problem: `${issue?.path.join('.') || 'its settings'}: ${issue?.message ?? 'not readable'}` };
  };
}

/** Of instructions without settings. */
export const NO_SETTINGS = z.object({});

/** How a number of things is compared with the one that is asked for. */
export const RELATION = z.enum(['less than', 'at least']);

/** Whether `found` is less than, or at least, `asked`. */
export function compares(found: number, relation: z.output<typeof RELATION>, asked: number): boolean {
  return relation === 'less than' ? found < asked : found >= asked;
}

/** A number of things that an instruction asks for. */
export const COUNT = z.number().int().positive();
