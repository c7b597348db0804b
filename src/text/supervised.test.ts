/** @file What is scored of a conversation: the assistant's turns with their end token, and the same ids as TRL's. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import {
  type Conversation,
  readConversation,
  renderConversations,
  type ScoredIds,
  truncateScored,
} from './supervised.ts';
import type { Message } from './template.ts';
import { loadTokenizer, type Tokenizer } from './tokenizer/tokenizer.ts';

const stories = loadTokenizer(join(packageRoot, 'assets', 'stories260K'));
const folder = join(packageRoot, 'test', 'fixtures', 'sft');

interface Fixture {
  chatTemplate: string;
  maxLength: number;
  rows: { ids: number[]; scored: [number, number][] }[];
  conversations: ({ messages: Message[] } | { prompt: Message[]; completion: Message[] })[];
}
const read = (name: string): Fixture => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Fixture;

/** [begin, end) of what is scored. */
function spans(scored: Uint8Array): [number, number][] {
  const found: [number, number][] = [];
  scored.forEach((flag, i) => {
    const last = found.at(-1);
    if (flag === 0) return;
    if (last !== undefined && last[1] === i) last[1] = i + 1;
    else found.push([i, i + 1]);
  });
  return found;
}

function sequencesOf(tokenizer: Tokenizer, conversations: readonly Conversation[]): ScoredIds[][] {
  return renderConversations(tokenizer, conversations).map((rendered) => {
    if (rendered.kind === 'fault') throw new Error(rendered.fault.detail);
    return rendered.sequences;
  });
}

describe("renderConversations() gives TRL's ids, after one start token", () => {
  it.each(['assistant-20-steps.json', 'completion-20-steps.json'])('%s', (name) => {
    const { chatTemplate, maxLength, rows, conversations } = read(name);
    const tokenizer = { ...stories, chatTemplate };
    const all = conversations.map(
      (row): Conversation =>
        'messages' in row
          ? { kind: 'chat', messages: row.messages, from: 0 }
          : { kind: 'chat', messages: [...row.prompt, ...row.completion], from: row.prompt.length },
    );
    const own = sequencesOf(tokenizer, all).flatMap(([sequence, ...others]) => {
      expect(others).toHaveLength(0);
      const cut = sequence === undefined ? null : truncateScored(sequence, maxLength + 1);
      // TRL leaves these out too.
      return cut === null
        ? []
        : [{ ids: cut.ids.slice(1, cut.scored.lastIndexOf(1) + 1), scored: spans(cut.scored.subarray(1)) }];
    });
    // What follows the last scored token (a line end, or a user's turn that was cut) teaches nothing.
    const theirs = rows.map(({ ids, scored }) => ({ ids: ids.slice(0, scored.at(-1)?.[1]), scored }));
    expect(own).toEqual(name.startsWith('assistant') ? theirs : theirs.map(withoutLineEnd));
  });
});

/** With completion_only_loss TRL scores the line end after the end token too. */
function withoutLineEnd({ ids, scored: [[begin, end] = [0, 0]] }: Fixture['rows'][number]) {
  const last = ids.slice(begin, end).indexOf(stories.eosId);
  const stop = last < 0 ? end : begin + last + 1;
  return { ids: ids.slice(0, stop), scored: [[begin, stop]] };
}

describe('renderConversations()', () => {
  const chatml =
    "{% for m in messages %}{{ '<' + m.role + '>\\n' + m.content + eos_token + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<assistant>\\n' }}{% endif %}";
  const turns: Message[] = [
    { role: 'user', content: 'Hi.' },
    { role: 'assistant', content: 'Hello!' },
    { role: 'user', content: 'A story?' },
    { role: 'assistant', content: 'Once.' },
  ];
  const shown = (chatTemplate: string, conversation: Conversation): string[] => {
    const tokenizer = { ...stories, chatTemplate };
    return sequencesOf(tokenizer, [conversation])
      .flat()
      .map(({ ids, scored }) =>
        [...scored].map((flag, i) => (flag === 1 ? (ids[i] === stories.eosId ? '$' : 'x') : '.')).join(''),
      );
  };

  it("scores every turn of the assistant, and not the user's, in one sequence", () => {
    const [line = '', ...others] = shown(chatml, { kind: 'chat', messages: turns, from: 0 });
    expect(others).toHaveLength(0);
    expect(line).toMatch(/^\.+x+\$\.+x+\$$/);
  });

  it('scores only what comes after the prompt where the row has one', () => {
    const [line = ''] = shown(chatml, { kind: 'chat', messages: turns, from: 3 });
    expect(line).toMatch(/^\.+x+\$$/);
  });

  it('makes a sequence of a turn that the template writes otherwise once it is history', () => {
    const forgetful = chatml.replace('m.content', '(m.content if loop.last else m.content | upper)');
    const lines = shown(forgetful, { kind: 'chat', messages: turns, from: 0 });
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/^\.+x+\$$/);
  });

  it('makes a sequence of a turn whose end token the template leaves out', () => {
    const lines = shown(chatml.replace('+ eos_token', ''), { kind: 'chat', messages: turns, from: 0 });
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/^\.+x+\$$/);
  });

  it('scores the completion of a plain text, and one end token', () => {
    const [line = ''] = shown(chatml, { kind: 'text', prompt: 'Once upon a', completion: ' time.' });
    expect(line).toMatch(/^\.+x+\$$/);
  });
});

describe('truncateScored()', () => {
  const sequence = { ids: [1, 2, 3, 4], scored: Uint8Array.of(0, 0, 1, 1) };
  it('keeps the beginning, and drops what has nothing to learn', () => {
    expect(truncateScored(sequence, 3)).toEqual({ ids: [1, 2, 3], scored: Uint8Array.of(0, 0, 1) });
    expect(truncateScored(sequence, 9)).toEqual(sequence);
    expect(truncateScored(sequence, 2)).toBeNull();
  });
});

describe('a conversation to learn', () => {
  const calling =
    "{% for m in messages %}{{ '<' + m.role + '>' + (m.content or '') }}{% for call in (m.tool_calls or []) %}{{ '[' + call.function.name + (call.function.arguments | tojson) + ']' }}{% endfor %}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";
  const tokenizer = { ...stories, chatTemplate: calling };
  const learnedOf = (conversation: Conversation, chatTemplate = calling): string[] =>
    sequencesOf({ ...tokenizer, chatTemplate }, [conversation])
      .flat()
      .flatMap(({ ids, scored }) => {
        // 'a' in front: the tokenizer's decoder takes a space from the beginning of a text.
        const a = stories.encode('a');
        return spans(scored).map(([begin, end]) => stories.decode([...a, ...ids.slice(begin, end)]).slice(1));
      });
  const call = { tool_calls: [{ function: { name: 'add', arguments: { a: 1 } } }] };
  const turns: Message[] = [
    { role: 'user', content: 'Add' },
    { role: 'assistant', content: null, ...call },
    { role: 'tool', content: '1' },
    { role: 'assistant', content: 'One.' },
  ];

  it('has its calls of tools learned as the template writes them', () => {
    expect(learnedOf({ kind: 'chat', messages: turns, from: 1 })).toEqual(['[add{"a": 1}]', 'One.']);
  });

  it('is at fault, by field, where the template leaves a call out', () => {
    const silent = { ...tokenizer, chatTemplate: calling.replace('m.tool_calls or []', '[]') };
    expect(renderConversations(silent, [{ kind: 'chat', messages: turns, from: 1 }])).toMatchObject([
      { kind: 'fault', fault: { problem: 'the chat template leaves it out', field: 'prompt[1].tool_calls' } },
    ]);
  });

  it("goes on with the assistant's words where the prompt of a completion ends in them", () => {
    const messages = [
      { role: 'user', content: 'Count' },
      { role: 'assistant', content: 'One,' },
      { role: 'assistant', content: ' two.' },
    ];
    expect(learnedOf({ kind: 'chat', messages, from: 2 })).toEqual([' two.']);
    expect(learnedOf({ kind: 'chat', messages, from: 1 })).toEqual(['One,', ' two.']);
  });

  it('is a message of the user and its answer where its texts are read so', () => {
    const texts: Conversation = { kind: 'text', prompt: 'Hi', completion: 'Yo' };
    expect(readConversation(texts, 'raw')).toBe(texts);
    expect(readConversation(texts, 'chat')).toMatchObject({ kind: 'chat', from: 1 });
    expect(learnedOf(readConversation(texts, 'chat'))).toEqual(['Yo']);
  });
});
