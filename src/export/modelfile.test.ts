import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { readTokenizerSettings } from '../text/tokenizer/tokenizer-files.ts';
import { modelfile } from './modelfile.ts';

const rendering = join(packageRoot, 'test', 'fixtures', 'rendering');

function templateOf(settings: Parameters<typeof modelfile>[0]): string {
  return modelfile(settings, { gguf: 'model.gguf', stops: [] }).replace(/^FROM .*\n/, '');
}

test.each([
  [
    'zephyr',
    '{{ range .Messages }}{{ if eq .Role "user" }}<|user|>\n{{ .Content }}</s>\n' +
      '{{ else if eq .Role "assistant" }}<|assistant|>\n{{ .Content }}</s>\n' +
      '{{ else if eq .Role "system" }}<|system|>\n{{ .Content }}</s>\n{{ end }}{{ end }}<|assistant|>\n',
  ],
  [
    'llama-3',
    '{{ range .Messages }}{{ if eq .Role "user" }}<|start_header_id|>user<|end_header_id|>\n\n{{ .Content }}<|eot_id|>' +
      '{{ else if eq .Role "assistant" }}<|start_header_id|>assistant<|end_header_id|>\n\n{{ .Content }}<|eot_id|>' +
      '{{ else if eq .Role "system" }}<|start_header_id|>system<|end_header_id|>\n\n{{ .Content }}<|eot_id|>' +
      '{{ end }}{{ end }}<|start_header_id|>assistant<|end_header_id|>\n\n',
  ],
  // Its template passes over system messages, and starts the answer with the user's message.
  [
    'phi-3',
    '{{ range .Messages }}{{ if eq .Role "user" }}<|user|>\n{{ .Content }}<|end|>\n<|assistant|>\n' +
      '{{ else if eq .Role "assistant" }}{{ .Content }}<|end|>\n{{ end }}{{ end }}',
  ],
])('modelfile() says the chat template of %s as frames, the start token left to llama.cpp', (name, template) => {
  expect(templateOf(readTokenizerSettings(join(rendering, name)))).toBe(`TEMPLATE """${template}"""\n`);
});

const end = { bosToken: '<s>', eosToken: '</s>' };

test.each([
  ['numbers its turns', '{% for m in messages %}{{ loop.index }}. {{ m.content }}\n{% endfor %}'],
  ['refuses everything', "{{ raise_exception('no') }}"],
  ['writes what Go would run', '{% for m in messages %}{{ "{{" }}{{ m.role }}: {{ m.content }}\n{% endfor %}'],
  ['changes what is said', '{% for m in messages %}{{ m.role }}: {{ m.content | upper }}\n{% endfor %}'],
  ['shows the last message only', '{{ messages[-1].content }}'],
  [
    'forgets earlier answers',
    '{% for m in messages %}{% if m.role == "user" or loop.last %}{{ m.role }}: {{ m.content }}\n{% endif %}{% endfor %}',
  ],
])('modelfile() writes no TEMPLATE for a chat template that %s, and says so', (_, chatTemplate) => {
  expect(templateOf({ chatTemplate, ...end })).toMatch(/^# No TEMPLATE: .* no fixed frame/);
});

test('modelfile() of a model without chat template continues plain text, and names what ends an answer', () => {
  expect(modelfile({ chatTemplate: null, ...end }, { gguf: 'model.gguf', stops: ['</s>', '<|"end"|>'] })).toBe(
    'FROM ./model.gguf\nPARAMETER stop "</s>"\nPARAMETER stop "<|\\"end\\"|>"\n' +
      '# No TEMPLATE: the model has no chat template, so it continues plain text.\nTEMPLATE """{{ .Prompt }}"""\n',
  );
});

test('modelfile() takes no template from stories260K, whose messages are joined by spaces', () => {
  const settings = readTokenizerSettings(join(packageRoot, 'assets', 'stories260K'));
  expect(readFileSync(join(packageRoot, 'assets', 'stories260K', 'chat_template.jinja'), 'utf8')).toContain(
    'loop.last',
  );
  expect(templateOf(settings)).toContain('# No TEMPLATE');
});
