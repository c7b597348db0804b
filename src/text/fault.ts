/** @file Why a row cannot be rendered as what it is: an error of that row alone, which its reader counts or stops at. */
import { shownValue, TextError } from '../errors.ts';

/** What can be wrong, in words that an audit counts by. */
const RENDERING_PROBLEMS = [
  'the chat template refuses it',
  'the chat template leaves it out',
  'the chat template does not know the role',
  'the response cannot be told apart from the rest',
  'the prompt ends in a turn that cannot be continued',
  'chosen equals rejected as rendered',
  'chosen equals rejected as cut',
  'the authors render no such pair',
] as const;
export type RenderingProblem = (typeof RENDERING_PROBLEMS)[number];

/** Whether a problem of a row shows in its rendering only. */
export function isRenderingProblem(problem: string): problem is RenderingProblem {
  return RENDERING_PROBLEMS.some((each) => each === problem);
}

/** A problem of a row, the field that it lies in, and what is there. */
export interface RenderingFault {
  problem: RenderingProblem;
  field: string;
  detail: string;
}

/** Thrown where a conversation has no faithful rendering. */
export class RenderingError extends TextError {
  readonly fault: RenderingFault;
  constructor(fault: RenderingFault) {
    const { problem, field, detail } = fault;
    super('CONVERSATION_UNRENDERABLE', `Cannot render field "${field}": ${problem}: ${detail}`, {
      details: { ...fault },
    });
    this.fault = fault;
  }
}

/** What is wrong with a row that could not be rendered; null where the error is not the row's. */
export function faultOf(error: unknown): RenderingFault | null {
  if (error instanceof RenderingError) return error.fault;
  if (!(error instanceof TextError)) return null;
  if (error.code === 'TEMPLATE_REFUSED')
    return { problem: 'the chat template refuses it', field: 'prompt', detail: error.message };
  if (error.code === 'RESPONSE_MERGED')
    return { problem: 'the authors render no such pair', field: 'chosen', detail: error.message };
  return null;
}

/** A value as a message about it shows it. */
export function shownPart(value: unknown): string {
  return shownValue(value, 60);
}
