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
  'the model has no row for one of its tokens',
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

const faults = new WeakMap<Error, RenderingFault>();

/** The error of a conversation that has no faithful rendering. */
export function renderingError(fault: RenderingFault): TextError {
  const { problem, field, detail } = fault;
  const error = new TextError('CONVERSATION_UNRENDERABLE', `Cannot render field "${field}": ${problem}: ${detail}`, {
    details: { ...fault },
  });
  faults.set(error, fault);
  return error;
}

/** What is wrong with a row that could not be rendered; null where the error is not the row's. */
export function faultOf(error: unknown): RenderingFault | null {
  if (!(error instanceof TextError)) return null;
  const known = faults.get(error);
  if (known !== undefined) return known;
  const { code, message: detail } = error;
  switch (code) {
    case 'TEMPLATE_REFUSED':
      return { problem: 'the chat template refuses it', field: 'prompt', detail };
    case 'RESPONSE_MERGED':
      return { problem: 'the authors render no such pair', field: 'chosen', detail };
    case 'TOKEN_WITHOUT_ROW':
      return { problem: 'the model has no row for one of its tokens', field: 'prompt', detail };
    default:
      return null;
  }
}

/** A value as a message about it shows it. */
export function shownPart(value: unknown): string {
  return shownValue(value, 60);
}
