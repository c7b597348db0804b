/** @file Texts as prompts of a model with a chat template: a run, its held-out prompts and `selm generate` read them alike. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { respond } from '../src/cli/respond.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { temporaryFolder } from '../src/files/temporary.testing.ts';
import { runRecipe } from '../src/loop/run.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { openLedger } from '../src/store/ledger.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

/** The story model with a template that writes roles, and Qwen 3's empty block of reasoning in a last answer. */
const TEMPLATE =
  "{% for m in messages %}{{ '[' + m.role + ']' }}{% if m.role == 'assistant' and loop.last %}{{ '<think></think>' }}{% endif %}{{ m.content + eos_token }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}";

function chatModel(): string {
  const folder = join(temporaryFolder(), 'model');
  cpSync(join(packageRoot, 'assets', 'stories260K'), folder, { recursive: true });
  writeFileSync(join(folder, 'chat_template.jinja'), TEMPLATE);
  return folder;
}

const linesOf = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

it('selm generate reads a text of a file, and one that is given, as training does; --text continues it', async () => {
  const model = chatModel();
  const file = join(temporaryFolder(), 'prompts.jsonl');
  writeFileSync(file, linesOf([{ prompt: 'Tom saw a dog.' }]));
  const settings = {
    samples: 1,
    temperature: 0,
    topP: 1,
    topK: 0,
    maxNewTokens: 12,
    seed: 0,
    device: 'cpu',
    json: true,
  } as const;
  const answer = async (options: { prompt?: string; prompts?: string; chat?: true; text?: true }): Promise<string> => {
    const lines: string[] = [];
    for await (const line of respond(model, { ...settings, ...options })) lines.push(line);
    return String((JSON.parse(lines.join('')) as { text: string }).text);
  };
  const asMessage = await answer({ prompt: '[user]Tom saw a dog.</s>[assistant]', text: true });
  const asText = await answer({ prompt: 'Tom saw a dog.', text: true });
  expect(asMessage).not.toBe(asText);
  for (const options of [{}, { chat: true }] as const) {
    expect(await answer({ prompts: file, ...options })).toBe(asMessage);
    expect(await answer({ prompt: 'Tom saw a dog.', ...options })).toBe(asMessage);
  }
  expect(await answer({ prompts: file, text: true })).toBe(asText);
});

it("a run goes on with the assistant's words, tells its pairs apart, and leaves out those that the cut made equal", async () => {
  const folder = temporaryFolder();
  const path = writeSmallRecipe(folder, {
    model: chatModel(),
    text: { maxLength: 64, maxPromptLength: 40 },
    data: { train: 'prompts.jsonl', onBadRow: 'drop' },
    iterations: 1,
    update: 'keep',
    objective: { preference: { kind: 'dpo', beta: 0.1 }, exploration: { kind: 'none' } },
    evaluate: { explorationPrompts: 0 },
  });
  const rows = Array.from({ length: 6 }, (_, i) => ({
    prompt: [
      { role: 'user', content: `Count from ${i}` },
      { role: 'assistant', content: 'One, two,' },
    ],
    chosen: [{ role: 'assistant', content: ` three ${i}.` }],
    rejected: [{ role: 'assistant', content: ` ten ${i}!` }],
  }));
  const long = ' and a dog'.repeat(30);
  const cut = { prompt: 'Hi', chosen: `${long} ran.`, rejected: `${long} sat.` };
  writeFileSync(join(folder, 'prompts.jsonl'), linesOf([...rows, cut]));

  const output = join(folder, 'run');
  const events: LoopEvent[] = [];
  await runRecipe(loadRecipe(path, { overrides: [`output=${output}`] }), { watch: (event) => void events.push(event) });

  const said = events.flatMap((event) => (event.kind === 'note' ? [event.text] : [])).join('\n');
  expect(said).toContain('1 dropped: 1 chosen equals rejected as cut');
  expect(said).toContain("6 that end in the assistant's words");
  const steps = events.flatMap((event) => (event.kind === 'metrics' ? [event.values] : []));
  expect(steps).toHaveLength(2);
  for (const step of steps) {
    expect(step.grad_norm).toBeGreaterThan(0);
    expect(step['logps/chosen']).not.toBe(step['logps/rejected']);
  }
  using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  expect(ledger.pairs(1)).toHaveLength(6);
  expect(readFileSync(join(output, 'iteration-1', 'model', 'chat_template.jinja'), 'utf8')).toBe(TEMPLATE);
});
