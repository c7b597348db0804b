/** @file Instructions about how an answer begins and ends, what is around it, and what it consists of. */
import { z } from 'zod';
import { instruction, NO_SETTINGS } from './instruction.ts';
import { strip, stripCharacter } from './python-text.ts';

/** Two different answers, six stars between them. */
export const twoResponses = instruction(NO_SETTINGS, (_, answer) => {
  const parts = answer.split('******').map(strip);
  if (parts.slice(1, -1).includes('')) return false;
  const filled = parts.filter((part) => part !== '');
  return filled.length === 2 && filled[0] !== filled[1];
});

/** The request is repeated before the answer, in any case. */
export const repeatPrompt = instruction(z.object({ prompt_to_repeat: z.string().min(1) }), (settings, answer) =>
  strip(answer).toLowerCase().startsWith(strip(settings.prompt_to_repeat).toLowerCase()),
);

/** The answer, or what is between quotation marks around it, ends with a phrase, in any case. */
export const endPhrase = instruction(z.object({ end_phrase: z.string().min(1) }), ({ end_phrase }, answer) =>
  stripCharacter(strip(answer), '"').toLowerCase().endsWith(strip(end_phrase).toLowerCase()),
);

/** Double quotation marks around the whole answer. */
export const quotation = instruction(NO_SETTINGS, (_, answer) => {
  const text = strip(answer);
  return [...text].length > 1 && text.startsWith('"') && text.endsWith('"');
});

/** No comma. */
export const noComma = instruction(NO_SETTINGS, (_, answer) => !answer.includes(','));
