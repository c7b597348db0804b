/**
 * @file Public chat templates with 15 conversations, the assistant's turn open and closed, against what transformers made of
 * them (scripts/fixtures/chat_templates.py). The templates of TRL are in the repository; SELM_TEMPLATE_CORPUS names a folder
 * with more, as the script's --wide leaves them.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type JsonObject, renderTemplate } from './template.ts';

interface Conversation {
  name: string;
  messages: JsonObject[];
  tools?: JsonObject[];
}

type Answer = { hash: string } | { refused: string };

const FIXTURES = join(import.meta.dirname, '../../test/fixtures/chat-templates');
const conversations: Conversation[] = JSON.parse(readFileSync(join(FIXTURES, 'conversations.json'), 'utf8'));

describe('public chat templates with 15 conversations, the turn open and closed', () => {
  it('give what transformers gives, or are refused by both: the 72 of TRL', () => {
    const { equal, refusedByBoth, different } = compare(join(FIXTURES, 'trl'), join(FIXTURES, 'expected.json'));
    expect(different).toEqual([]);
    expect({ equal, refusedByBoth }).toEqual({ equal: 1892, refusedByBoth: 268 });
  });

  const wide = process.env.SELM_TEMPLATE_CORPUS;
  it.runIf(wide !== undefined)(
    'give what transformers gives, or are refused by both: those that are not committed',
    () => {
      const { different, ...counts } = compare(join(wide ?? '', 'templates'), join(wide ?? '', 'expected.json'));
      console.log(counts);
      expect(different).toEqual([]);
    },
  );
});

function compare(folder: string, expectedFile: string): { equal: number; refusedByBoth: number; different: string[] } {
  const { answers }: { answers: Record<string, Answer[]> } = JSON.parse(readFileSync(expectedFile, 'utf8'));
  const result = { equal: 0, refusedByBoth: 0, different: [] as string[] };
  for (const [name, expected] of Object.entries(answers)) {
    const template = readFileSync(join(folder, `${name}.jinja`), 'utf8');
    for (const [i, answer] of expected.entries()) {
      const conversation = conversations[Math.floor(i / 2)];
      if (conversation === undefined) throw new Error(`There is no conversation ${i / 2}`);
      const ours = render(template, conversation, i % 2 === 0);
      if ('hash' in answer && answer.hash === ours.hash) result.equal += 1;
      else if ('refused' in answer && ours.hash === null) result.refusedByBoth += 1;
      else {
        const theirs = 'hash' in answer ? 'renders' : `refuses (${answer.refused})`;
        result.different.push(
          `${name}, ${conversation.name}, ${i % 2 === 0 ? 'open' : 'closed'}: transformers ${theirs}, selm: ${ours.text}`,
        );
      }
    }
  }
  return result;
}

function render(
  template: string,
  { messages, tools }: Conversation,
  addGenerationPrompt: boolean,
): { hash: string | null; text: string } {
  try {
    const text = renderTemplate(template, messages, { addGenerationPrompt, bosToken: '<s>', eosToken: '</s>', tools });
    return { hash: createHash('sha256').update(text).digest('hex').slice(0, 16), text };
  } catch (error) {
    return { hash: null, text: String(error) };
  }
}
