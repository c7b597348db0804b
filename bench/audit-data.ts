/**
 * @file What `bench -- audit` reads, the same each time: chat pairs in UltraFeedback's layout, about 1.7 KB each, and a
 * tokenizer of their words, whose tokens are about as long as those of a real vocabulary.
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { randomKey, uniformAt } from '../src/random.ts';

const WORDS =
  `the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you
were all her she there would their we him been has when who will no more if out so up said what its about than into them can
only other time new some could these two may first then do any like my now over such our man even most made after also well
story garden river because machine explain answer question reason example simple careful number letter morning children`.split(
    /\s+/,
  );

const SENTENCES = 2048;

/** Writes `rows` rows to a file: prompts of 2 to 5 sentences, answers of 3 to `mostSentences`, each of 6 to 17 words. */
export function writeRows(path: string, rows: number, mostSentences: number): void {
  const key = randomKey(7, 'bench-audit');
  let drawn = 0;
  const below = (most: number): number => Math.floor(uniformAt(key, drawn++) * most);
  const sentences = Array.from({ length: SENTENCES }, () => {
    const words = Array.from({ length: 6 + below(12) }, () => WORDS[below(WORDS.length)]);
    return `${words.join(' ')}.`;
  });
  const text = (least: number, most: number): string =>
    Array.from({ length: least + below(most - least + 1) }, () => sentences[below(SENTENCES)]).join(' ');
  const fd = openSync(path, 'w');
  try {
    let lines: string[] = [];
    for (let i = 0; i < rows; i++) {
      const prompt = `${i}: ${text(2, 5)}`;
      const conversation = (answer: string) => [
        { role: 'user', content: prompt },
        { role: 'assistant', content: answer },
      ];
      const row = {
        prompt,
        chosen: conversation(text(3, mostSentences)),
        rejected: conversation(text(3, mostSentences)),
      };
      lines.push(`${JSON.stringify(row)}\n`);
      if (lines.length === 1000 || i === rows - 1) {
        writeSync(fd, lines.join(''));
        lines = [];
      }
    }
  } finally {
    closeSync(fd);
  }
}

const SPECIAL = ['<unk>', '<|im_start|>', '<|im_end|>'];
const CHAT_TEMPLATE =
  "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/** Writes a folder that has what the audit needs of a model: tokenizer and chat template. */
export function writeTokenizer(folder: string): void {
  const letters = [...'0123456789:.\n', 'user', 'assistant'];
  const vocabulary = Object.fromEntries([...new Set([...SPECIAL, ...letters, ...WORDS])].map((word, id) => [word, id]));
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'Whitespace' }, { type: 'Digits', individual_digits: true }],
    },
    post_processor: null,
    decoder: null,
    model: { type: 'WordLevel', vocab: vocabulary, unk_token: '<unk>' },
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  const settings = { eos_token: '<|im_end|>', chat_template: CHAT_TEMPLATE };
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(settings));
}
