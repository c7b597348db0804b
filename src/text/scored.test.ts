/** @file What is scored is the response that the row has and one end token, whatever the template writes around it. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { type Measured, measureRows, type PairTexts, type Prompt, renderPair, renderPrompt } from './rendering.ts';
import type { JsonObject, Message } from './template.ts';
import { loadTokenizer, type Tokenizer } from './tokenizer/tokenizer.ts';

const stories = loadTokenizer(join(packageRoot, 'assets', 'stories260K'));
const END = 2;
const settings = { rendering: 'clean', maxLength: 512, maxPromptLength: 256 } as const;
const withTemplate = (chatTemplate: string): Tokenizer => ({ ...stories, chatTemplate });
const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string | null, more: JsonObject = {}): Message => ({ role: 'assistant', content, ...more });
const chat = (...messages: Message[]): Prompt => ({ kind: 'chat', messages });

/** The texts of prompt and response, and the ids behind the response's text. */
function shown(tokenizer: Tokenizer, prompt: Prompt, answer: string | Message) {
  const response = typeof answer === 'string' ? { text: answer } : { text: 'shown', message: answer };
  const pair: PairTexts = { prompt, chosen: response, rejected: { text: 'other' }, response: null };
  const { promptIds, responseIds } = renderPair(tokenizer, pair, settings).chosen;
  const all = stories.decode([...promptIds, ...responseIds]);
  const before = stories.decode(promptIds);
  expect(all.startsWith(before)).toBe(true);
  // Behind an end token of the prompt this tokenizer puts a space.
  return {
    before: before.replaceAll(' \n', '\n'),
    scored: all.slice(before.length),
    end: responseIds.filter((id) => id <= END),
    last: responseIds.at(-1),
  };
}

function faultOf(tokenizer: Tokenizer, prompt: Prompt, chosen: string | Message, rejected: string | Message = 'other') {
  const response = (answer: string | Message) =>
    typeof answer === 'string' ? { text: answer } : { text: 'shown', message: answer };
  const [measured] = measureRows(tokenizer, [{ prompt, responses: [response(chosen), response(rejected)] }], settings);
  return measured;
}
const measureOf = (measured: Measured | undefined) => (measured?.kind === 'measure' ? measured.measure : null);

describe('a prompt that ends in words of the assistant', () => {
  const qwen = withTemplate(
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' }}{% if m.role == 'assistant' and loop.last %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{{ m.content + eos_token + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
  );
  const prompt = chat(user('Count from 0'), assistant('One, two,'));

  it('is gone on with where its text ended', () => {
    const { before, scored, end } = shown(qwen, prompt, ' three 0.');
    expect(before).toBe('<|user|>\nCount from 0\n<|assistant|>\n<think>\n\n</think>\n\nOne, two,');
    expect([scored, end]).toEqual([' three 0.', [END]]);
    expect(stories.decode(renderPrompt(qwen, prompt, 'clean')).replaceAll(' \n', '\n')).toBe(before);
  });

  it('gives chosen and rejected ids of their own', () => {
    const pair = { prompt, chosen: { text: ' three 0.' }, rejected: { text: ' ten 0!' }, response: null };
    const { chosen, rejected } = renderPair(qwen, pair, settings);
    expect(chosen.responseIds).not.toEqual(rejected.responseIds);
    expect(chosen.promptIds).toEqual(rejected.promptIds);
  });

  it('cannot be gone on with after a call, nor with one', () => {
    const call = { tool_calls: [{ function: { name: 'f', arguments: {} } }] };
    const problem = 'the prompt ends in a turn that cannot be continued';
    expect(faultOf(qwen, chat(user('a'), assistant('b', call)), 'c')).toMatchObject({ fault: { problem } });
    expect(faultOf(qwen, prompt, assistant('c', call))).toMatchObject({ fault: { problem } });
  });
});

describe('a generation prompt that the whole conversation does not have', () => {
  const distilled = withTemplate(
    "{% for m in messages %}{% if m.role == 'user' %}{{ '<|user|>' + m.content }}{% else %}{{ '<|bot|>' + m.content.split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|bot|><think>\\n' }}{% endif %}",
  );

  it.each([
    ['begins as the open turn goes on', '<b>bold</b> text', '<b>bold</b> text'],
    ['is empty', '', ''],
    ['is the open turn itself', '<think>\n', '<think>\n'],
  ])('scores a response that %s', (_, response, scored) => {
    expect(shown(distilled, chat(user('Hi')), response)).toEqual({
      before: '<|user|>Hi<|bot|>',
      scored,
      end: [END],
      last: END,
    });
  });

  it('samples from the open turn', () => {
    expect(stories.decode(renderPrompt(distilled, chat(user('Hi')), 'clean'))).toBe('<|user|>Hi<|bot|><think>\n');
  });

  it('counts a response whose reasoning the template takes away', () => {
    const measured = faultOf(distilled, chat(user('2+2?')), 'add</think>4', 'five');
    expect(measureOf(measured)?.changes).toEqual(['text', 'none']);
    expect(shown(distilled, chat(user('2+2?')), 'add</think>4').scored).toBe('4');
  });

  it('finds a pair at fault that is the same once its reasoning is taken away', () => {
    expect(faultOf(distilled, chat(user('2+2?')), 'add</think>4', 'guess</think>4')).toMatchObject({
      fault: { problem: 'chosen equals rejected as rendered', field: 'rejected' },
    });
  });
});

describe('an empty block of reasoning that the template writes before a last answer', () => {
  const qwen = withTemplate(
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' }}{% if m.role == 'assistant' %}{% set reasoning = m.reasoning_content or '' %}{% set content = m.content or '' %}{% if '</think>' in content %}{% set reasoning = content.split('</think>')[0].replace('<think>\\n', '') %}{% set content = content.split('</think>\\n\\n')[-1] %}{% endif %}{% if loop.last or reasoning %}{{ '<think>\\n' + reasoning + '\\n</think>\\n\\n' }}{% endif %}{{ content }}{% else %}{{ m.content }}{% endif %}{{ eos_token + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
  );

  it('is the header of an answer without reasoning', () => {
    const { before, scored } = shown(qwen, chat(user('Hi')), 'Yo');
    expect(before).toBe('<|user|>\nHi\n<|assistant|>\n<think>\n\n</think>\n\n');
    expect(scored).toBe('Yo');
  });

  it('is filled and scored where the message has reasoning of its own', () => {
    const { before, scored } = shown(qwen, chat(user('Hi')), assistant('Yo', { reasoning_content: 'be kind' }));
    expect(before).toBe('<|user|>\nHi\n<|assistant|>\n');
    expect(scored).toBe('<think>\nbe kind\n</think>\n\nYo');
  });

  it('tells responses apart that differ in their reasoning alone', () => {
    const [a, b] = ['one', 'two'].map((text) => assistant('Yo', { reasoning_content: text }));
    expect(faultOf(qwen, chat(user('Hi')), a ?? '', b)?.kind).toBe('measure');
  });

  it('counts reasoning of earlier turns that the template leaves out', () => {
    const forgetful = withTemplate(
      "{% for m in messages %}{{ '[' + m.role + ']' }}{% if loop.last and m.reasoning_content %}{{ '<think>' + m.reasoning_content + '</think>' }}{% endif %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}",
    );
    const prompt = chat(user('Hi'), assistant('Yo', { reasoning_content: 'be kind' }), user('Bye'));
    expect(measureOf(faultOf(forgetful, prompt, 'Bye'))?.omissions.earlierReasoning).toBe(true);
  });
});

describe('tools', () => {
  const calling = withTemplate(
    "{% if tools %}{{ '[TOOLS]' + (tools | tojson) + '\\n' }}{% endif %}{% for m in messages %}{{ '[' + m.role + ']' + (m.content or '') }}{% for call in (m.tool_calls or []) %}{{ '<call>' + call.function.name + '(' + (call.function.arguments | tojson) + ')</call>' }}{% endfor %}{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}",
  );
  const silent = withTemplate(
    "{% for m in messages %}{{ '[' + m.role + ']' + (m.content or '') + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}",
  );
  const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
  const call = { tool_calls: [{ type: 'function', function: { name: 'weather', arguments: { city: 'Ulm' } } }] };
  const asked = user('Is it warm in Ulm?');
  const prompt: Prompt = {
    kind: 'chat',
    messages: [asked, assistant('', call), { role: 'tool', name: 'weather', content: '21 C' }],
    tools,
  };

  it('and calls of them are in the prompt as the template writes them', () => {
    expect(shown(calling, prompt, 'Yes.').before).toBe(
      '[TOOLS][{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]\n[user]Is it warm in Ulm?\n[assistant]<call>weather({"city": "Ulm"})</call>\n[tool]21 C\n[assistant]',
    );
  });

  it.each([[''], [null]])('can be called by a response, whose content is %j', (content) => {
    const { before, scored, end } = shown(calling, chat(asked), assistant(content, call));
    expect(before).toBe('[user]Is it warm in Ulm?\n[assistant]');
    expect([scored, end]).toEqual(['<call>weather({"city": "Ulm"})</call>\n', [END]]);
  });

  it('are refused by the name of the field where the template leaves them out', () => {
    const problem = 'the chat template leaves it out';
    expect(faultOf(silent, chat(asked), assistant('', call))).toMatchObject({
      fault: { problem, field: 'chosen.tool_calls' },
    });
    expect(faultOf(silent, prompt, 'Yes.')).toMatchObject({ fault: { problem, field: 'prompt[1].tool_calls' } });
    expect(faultOf(silent, { kind: 'chat', messages: [asked], tools }, 'Yes.')).toMatchObject({
      fault: { problem, field: 'tools' },
    });
    expect(faultOf(silent, chat(asked), 'Yes.', assistant('No', { reasoning_content: 'why' }))).toMatchObject({
      fault: { problem, field: 'rejected.reasoning_content' },
    });
  });

  it('are refused where the template writes a call without its arguments', () => {
    const nameOnly = withTemplate(calling.chatTemplate?.replace('(call.function.arguments | tojson)', "'...'") ?? '');
    expect(faultOf(nameOnly, chat(asked), assistant('', call))).toMatchObject({
      fault: { field: 'chosen.tool_calls' },
    });
  });
});

describe('a message that the template passes over', () => {
  const strict = withTemplate(
    "{% for m in messages %}{% if m.role == 'user' %}{{ '[u]' + m.content }}{% elif m.role == 'assistant' %}{{ '[a]' + m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '[a]' }}{% endif %}",
  );

  it('is refused by its place', () => {
    expect(faultOf(strict, chat({ role: 'system', content: 'Be kind' }, user('Hi')), 'Yo')).toMatchObject({
      fault: { problem: 'the chat template leaves it out', field: 'prompt[0].content' },
    });
  });

  it('is refused by its role where no template would know it', () => {
    expect(faultOf(strict, chat({ role: 'human', content: 'Hi' }), 'Yo')).toMatchObject({
      fault: { problem: 'the chat template does not know the role', field: 'prompt[0].role' },
    });
  });

  it("is the row's problem where the template raises an error", () => {
    const raising = withTemplate("{{ raise_exception('no system') }}");
    expect(faultOf(raising, chat(user('Hi')), 'Yo')).toMatchObject({
      fault: { problem: 'the chat template refuses it' },
    });
  });
});

describe('plain texts', () => {
  const text = (before: string): Prompt => ({ kind: 'text', text: before });

  it.each([
    ['The un', 'done task.'],
    ['The un', 'kind dog.'],
    ['He can', 'dy is good.'],
    ['He can', 'not go.'],
    ['Answer: ', 'A cat.'],
    ['Answer:', ' A cat.'],
    ['It cost ', '$46 now'],
  ])('%j and %j are spelled as one text', (before, after) => {
    expect(shown(stories, text(before), after)).toMatchObject({ before, scored: after });
  });

  it('keep what is written behind an end token, and end once', () => {
    const response = ' Write <s>old</s> and then go on with the rest of your sentence.';
    expect(shown(stories, text('How do I strike a word out?'), response)).toMatchObject({
      scored: response,
      end: [END],
    });
  });

  it('that end with the end token end once', () => {
    expect(shown(stories, text('Hi'), ' there.</s>')).toMatchObject({ scored: ' there.', end: [END] });
  });

  it('begin with one start token, also where white space stands before one', () => {
    for (const before of ['Hi', '<s>Hi', '\n<s>Hi', '<s> <s>Hi'])
      expect(renderPrompt(stories, text(before), 'clean')).toEqual([1, ...stories.encode('Hi')]);
    const spaced = withTemplate('\n{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}');
    expect(renderPrompt(spaced, chat(user('Hi')), 'clean')).toEqual([1, ...stories.encode('Hi')]);
  });
});

it('a pair that is the same once it is cut is at fault', () => {
  const long = ' and a dog'.repeat(40);
  const row = {
    prompt: { kind: 'text', text: 'A cat' } as const,
    responses: [{ text: `${long} ran.` }, { text: `${long} sat.` }],
  };
  expect(measureRows(stories, [row], { ...settings, maxLength: 32, maxPromptLength: 16 })).toMatchObject([
    { fault: { problem: 'chosen equals rejected as cut', field: 'rejected' } },
  ]);
});
