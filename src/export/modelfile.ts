/**
 * @file A Modelfile for Ollama beside a GGUF file: FROM, the texts that end an answer, and a TEMPLATE where the model's
 * chat template is a frame around each message. Ollama's templates are Go's; a chat template is Jinja, a program. So the
 * frames are found by rendering conversations, and are written only if they give other conversations character by
 * character; otherwise the file says that there is no TEMPLATE, and Ollama goes by the chat template inside the GGUF.
 */
import { SelmError } from '../errors.ts';
import { type Message, renderTemplate } from '../text/template.ts';
import type { Tokenizer } from '../text/tokenizer/tokenizer.ts';

/** What stands around a message of each role, and what starts an answer. */
interface Frames {
  roles: ReadonlyMap<string, { before: string; after: string }>;
  answer: string;
}

type Render = (messages: readonly Message[], end: 'closed' | 'answer') => string;

/** The text of a Modelfile for the GGUF file `gguf` beside it. `stops`: texts of tokens that end an answer. */
export function modelfile(
  tokenizer: Pick<Tokenizer, 'chatTemplate' | 'bosToken' | 'eosToken'>,
  { gguf, stops }: { gguf: string; stops: readonly string[] },
): string {
  const lines = [`FROM ./${gguf}`, ...stops.map((stop) => `PARAMETER stop ${JSON.stringify(stop)}`)];
  const { chatTemplate, bosToken, eosToken } = tokenizer;
  if (chatTemplate === null) {
    return text([
      ...lines,
      '# No TEMPLATE: the model has no chat template, so it continues plain text.',
      'TEMPLATE """{{ .Prompt }}"""',
    ]);
  }
  const render: Render = (messages, end) => {
    const rendered = renderTemplate(chatTemplate, messages, {
      addGenerationPrompt: end === 'answer',
      bosToken,
      eosToken,
    });
    // llama.cpp puts the start token itself.
    return bosToken !== null && rendered.startsWith(bosToken) ? rendered.slice(bosToken.length) : rendered;
  };
  const frames = findFrames(render);
  if (frames === null) {
    return text([
      ...lines,
      '# No TEMPLATE: the chat template of this model is no fixed frame around each message, so it cannot be said here.',
      '# Ollama goes by the chat template inside the GGUF file, as far as it recognises it.',
    ]);
  }
  return text([...lines, `TEMPLATE """${goTemplate(frames)}"""`]);
}

function text(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}

const USER = 'the first question';
const ANSWER = 'its answer';
const SYSTEM = 'what to be';

/** The frames of a chat template, or null where it has none that explain everything it does. */
function findFrames(render: Render): Frames | null {
  try {
    const user = { role: 'user', content: USER };
    const asked = render([user], 'closed');
    const answer = rest(render([user], 'answer'), asked);
    const dialogue = rest(render([user, { role: 'assistant', content: ANSWER }], 'closed'), asked);
    if (answer === null || dialogue === null) return null;
    const found = new Map([
      ['user', around(asked, USER)],
      ['assistant', around(dialogue, ANSWER)],
      ['system', systemFrame(render, user, asked)],
    ]);
    const roles = new Map([...found].flatMap(([role, frame]) => (frame === null ? [] : [[role, frame] as const])));
    if (!roles.has('user') || !roles.has('assistant')) return null;
    const frames = { roles, answer };
    return explains(frames, render) && isPlain(frames) ? frames : null;
  } catch (error) {
    // A template that refuses a conversation, or breaks its budget, has no frames.
    if (error instanceof SelmError) return null;
    throw error;
  }
}

/** Many templates refuse a system message; the others' frame is what comes before the user's. */
function systemFrame(render: Render, user: Message, asked: string): { before: string; after: string } | null {
  let whole: string;
  try {
    whole = render([{ role: 'system', content: SYSTEM }, user], 'closed');
  } catch (error) {
    if (error instanceof SelmError) return null;
    throw error;
  }
  return whole.endsWith(asked) ? around(whole.slice(0, whole.length - asked.length), SYSTEM) : null;
}

function rest(whole: string, start: string): string | null {
  return whole.startsWith(start) ? whole.slice(start.length) : null;
}

function around(whole: string, content: string): { before: string; after: string } | null {
  const at = whole.indexOf(content);
  if (at < 0 || whole.indexOf(content, at + 1) >= 0) return null;
  return { before: whole.slice(0, at), after: whole.slice(at + content.length) };
}

/** Whether the frames give conversations that they were not made from. */
function explains(frames: Frames, render: Render): boolean {
  const turns = [
    { role: 'user', content: 'Why?' },
    { role: 'assistant', content: 'So that it holds.\nTwice.' },
    { role: 'user', content: 'And then' },
  ];
  const system = { role: 'system', content: 'Be brief' };
  const conversations = [turns, turns.slice(0, 1), ...(frames.roles.has('system') ? [[system, ...turns]] : [])];
  return conversations.every((messages) => {
    const framed = messages.map(({ role, content }) => {
      const { before = '', after = '' } = frames.roles.get(role) ?? {};
      return before + content + after;
    });
    return framed.join('') + frames.answer === render(messages, 'answer');
  });
}

/** Whether the frames can stand in a Go template and in the Modelfile's quotes as they are. */
function isPlain({ roles, answer }: Frames): boolean {
  const texts = [answer, ...[...roles.values()].flatMap(({ before, after }) => [before, after])];
  return texts.every((each) => !/\{\{|\}\}|"""|\r/.test(each));
}

function goTemplate({ roles, answer }: Frames): string {
  const branches = [...roles].map(
    ([role, { before, after }], i) =>
      `{{ ${i === 0 ? 'if' : 'else if'} eq .Role "${role}" }}${before}{{ .Content }}${after}`,
  );
  return `{{ range .Messages }}${branches.join('')}{{ end }}{{ end }}${answer}`;
}
