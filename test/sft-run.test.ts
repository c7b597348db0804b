/** @file Whole runs of supervised fine-tuning, alone and before Algorithm 1: what comes out, and that stopping loses nothing. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { fineTune } from '../src/api/train.ts';
import { InterruptedError } from '../src/errors.ts';
import { sha256 } from '../src/files/hash.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { runRecipe } from '../src/loop/run.ts';
import { runSft } from '../src/loop/sft.ts';
import { withModel } from '../src/model/load.ts';
import { loadRecipe, loadSftRecipe } from '../src/recipe/load.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { openLedger } from '../src/store/ledger.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-sft-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

/** Conversations of one to two turns, a plain completion, and a preference row. */
const ROWS: Record<string, unknown>[] = [
  ...['Lily', 'Tom', 'Mia', 'Ben', 'Sue', 'Max'].map((name, i) => ({
    messages: [
      { role: 'user', content: `${name} went to the park.` },
      { role: 'assistant', content: `${name} saw a dog and was happy.` },
      ...(i % 2 === 0
        ? [
            { role: 'user', content: 'And then?' },
            { role: 'assistant', content: 'They played.' },
          ]
        : []),
    ],
  })),
  { prompt: 'Once upon a', completion: ' time there was a cat.' },
  { prompt: 'Tom', chosen: ' was happy.', rejected: ' was sad.' },
];

function writeSft(
  changes: Record<string, unknown> = {},
  rows: readonly unknown[] = ROWS,
): { path: string; output: string } {
  const folder = join(root, String(count++));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const recipe = {
    name: 'small',
    seed: 3,
    model: join(packageRoot, 'assets', 'stories260K'),
    threads: 1,
    output: join(folder, 'run'),
    data: { train: 'rows.jsonl' },
    text: { maxLength: 64 },
    training: { batchSize: 3, epochs: 2, learningRate: 0.003, microBatchTokens: 64, checkpointEverySteps: 2 },
    ...changes,
  };
  const path = join(folder, 'sft.yaml');
  writeFileSync(path, stringify(recipe));
  return { path, output: recipe.output };
}

const weights = (model: string): string => sha256(readFileSync(join(model, 'model.safetensors')));

describe('selm sft', () => {
  it("learns, keeps metrics under TRL's names, and saves a model that loads", async () => {
    const { path, output } = writeSft();
    const events: LoopEvent[] = [];
    const { modelPath } = await runSft(loadSftRecipe(path), { watch: (event) => void events.push(event) });
    expect(modelPath).toBe(join(output, 'model'));
    expect(withModel(modelPath, ({ config }) => config.layers)).toBe(5);
    expect(existsSync(join(modelPath, 'tokenizer.json'))).toBe(true);
    expect(readFileSync(join(modelPath, 'README.md'), 'utf8')).toContain('fine-tuned from stories260K');
    using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
    expect(ledger.record(0, 'data-audit')?.text).toContain('Licences: rows.jsonl unknown');
    const values = ledger.metrics().map((metric) => metric.values);
    // 6 conversations (3 of them hold a turn that the template writes without its end token: a sequence of its own), 2 texts.
    expect(values).toHaveLength(2 * Math.ceil((8 + 3) / 3));
    expect(values.at(-1)?.loss).toBeLessThan((values[0]?.loss ?? 0) * 0.9);
    expect(Object.keys(values[0] ?? {})).toEqual(
      expect.arrayContaining(['loss', 'lr', 'grad_norm', 'mean_token_accuracy', 'num_tokens']),
    );
    const audit = events.find((event) => event.kind === 'note')?.text ?? '';
    expect(audit).toContain('Rows: 8 read, 8 used, 0 dropped');
    expect(audit).toContain('Turns of the assistant: 11');
  });

  it('stopped after a step goes on to the same bytes, and refuses other settings', async () => {
    const { path, output } = writeSft();
    const { modelPath } = await runSft(loadSftRecipe(path));
    const unbroken = weights(modelPath);
    const second = join(root, 'second');
    const stop = new AbortController();
    const stopped = loadSftRecipe(path, { overrides: [`output=${second}`] });
    const watch = (event: LoopEvent): void => {
      if (event.kind === 'metrics' && event.step === 2) stop.abort();
    };
    await expect(runSft(stopped, { watch, signal: stop.signal })).rejects.toThrow(InterruptedError);
    expect(existsSync(join(second, 'model'))).toBe(false);
    const events: LoopEvent[] = [];
    const resumed = await runSft(stopped, { watch: (event) => void events.push(event) });
    expect(events.find((event) => event.kind === 'stage-started')).toMatchObject({ stage: 'sft', done: 3 });
    expect(weights(resumed.modelPath)).toBe(unbroken);
    const other = loadSftRecipe(path, { overrides: ['training.learningRate=0.1'] });
    await expect(runSft(other)).rejects.toMatchObject({ code: 'RUN_DIFFERS', exitCode: 2 });
    expect(weights(join(output, 'model'))).toBe(unbroken);
    // Accepted, they train it again.
    const again: LoopEvent[] = [];
    await runSft(other, { acceptChanges: true, watch: (event) => void again.push(event) });
    expect(again.find((event) => event.kind === 'warning')?.text).toContain('learningRate');
    expect(weights(join(output, 'model'))).not.toBe(unbroken);
  });

  it('learns labels from the start model as reference, and goes on to the same bytes', async () => {
    const rows = ['Lily', 'Tom', 'Mia', 'Ben', 'Sue', 'Max'].map((name, i) => ({
      prompt: `${name} went to`,
      completion: i % 3 === 0 ? ' xxx zzz.' : ' the park and was happy.',
      label: i % 3 !== 0,
    }));
    const { path, output } = writeSft({ objective: { kind: 'kto', beta: 0.1 } }, rows);
    const events: LoopEvent[] = [];
    const { modelPath } = await runSft(loadSftRecipe(path), { watch: (event) => void events.push(event) });
    const audit = events.find((event) => event.kind === 'note')?.text ?? '';
    expect(audit).toContain('Labels: 4 good, 2 bad; objective.desirableWeight is 1, the paper advises 0.500 to 0.667');
    using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
    const values = ledger.metrics().map((metric) => metric.values);
    expect(values).toHaveLength(4);
    expect(values[0]?.loss).toBeCloseTo(0.5, 5);
    expect(values.at(-1)?.['rewards/margins'] ?? values.at(-2)?.['rewards/margins']).toBeGreaterThan(0);
    expect(values.at(-1)?.kl).toBeGreaterThanOrEqual(0);
    const card = readFileSync(join(modelPath, 'README.md'), 'utf8');
    expect(card).toContain('on labelled responses');

    const stop = new AbortController();
    const second = loadSftRecipe(path, { overrides: [`output=${join(root, 'labels-again')}`] });
    const watch = (event: LoopEvent): void => {
      if (event.kind === 'metrics' && event.step === 1) stop.abort();
    };
    await expect(runSft(second, { watch, signal: stop.signal })).rejects.toThrow(InterruptedError);
    expect(weights((await runSft(second)).modelPath)).toBe(weights(modelPath));
  });

  it('trains an adapter that can be loaded', async () => {
    const adapter = { kind: 'lora', rank: 4, alpha: 8 };
    const { path } = writeSft({ training: { batchSize: 4, learningRate: 0.01, adapter } });
    // By the library's function, whose events end when the run does.
    const run = fineTune(path);
    const kinds = new Set<string>();
    for await (const { kind } of run) kinds.add(kind);
    expect(kinds).toContain('stage-finished');
    const { modelPath } = await run.result;
    expect(existsSync(join(modelPath, 'adapter_config.json'))).toBe(true);
    expect(withModel(modelPath, (model) => model.adapter?.rank)).toBe(4);
  });

  it.each([
    ['a misspelt key', { trainning: {} }, ROWS, 'RECIPE_INVALID', 'did you mean "training"'],
    [
      'a setting of selm train',
      { training: { batchSize: 2, learningRate: 1, cycle: 'linear' } },
      ROWS,
      'RECIPE_INVALID',
      'training.cycle',
    ],
    [
      'a row without a turn of the assistant',
      {},
      [{ messages: [{ role: 'user', content: 'Hi' }] }],
      'ROW_UNUSABLE',
      'rows.jsonl:1',
    ],
    ['rows cut to nothing', { text: { maxLength: 2 } }, ROWS, 'DATA_EMPTY', 'text.maxLength'],
    ['no such file', { data: { train: 'none.jsonl' } }, ROWS, 'DATA_MISSING', 'none.jsonl'],
  ])('says what is wrong with %s, and writes nothing', async (_, changes, rows, code, text) => {
    const { path, output } = writeSft(changes, rows);
    const run = async (): Promise<unknown> => runSft(loadSftRecipe(path));
    await expect(run()).rejects.toMatchObject({ code, exitCode: 2, message: expect.stringContaining(text) });
    expect(existsSync(output)).toBe(false);
  });
});

describe('selm train with a section sft', () => {
  const section = {
    data: { train: 'conversations.jsonl' },
    text: { maxLength: 64 },
    training: { batchSize: 4, learningRate: 0.003, checkpointEverySteps: 1 },
  };

  it('fine-tunes first and starts Algorithm 1 from the result; stopped in between it goes on to the same bytes', async () => {
    const folder = join(root, 'chain');
    const path = writeSmallRecipe(folder, {
      iterations: 1,
      sft: section,
      sampling: { samples: 2, temperature: 1, maxNewTokens: 8 },
      training: { batchSize: 12, learningRate: 0.0005, checkpointEverySteps: 1 },
    });
    writeFileSync(join(folder, 'conversations.jsonl'), ROWS.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const load = (name: string) => loadRecipe(path, { overrides: [`output=${join(folder, name)}`] });
    const whole = await runRecipe(load('whole'));
    const events: LoopEvent[] = [];
    const stop = new AbortController();
    const watch = (event: LoopEvent): void => {
      events.push(event);
      if (event.kind === 'metrics' && events.filter(({ kind }) => kind === 'metrics').length === 2) stop.abort();
    };
    const broken = load('broken');
    await expect(runRecipe(broken, { watch, signal: stop.signal })).rejects.toThrow(InterruptedError);
    const resumed = await runRecipe(broken, { watch: (event) => void events.push(event) });
    expect(weights(resumed.modelPath)).toBe(weights(whole.modelPath));
    const cards = [whole, resumed].map(({ modelPath }) => readFileSync(join(modelPath, 'README.md'), 'utf8'));
    expect(cards[0]).toMatch(/^---\nbase_folder: stories260K\n/);
    expect(cards[1]).toBe(cards[0]);
    const fineTuned = weights(join(folder, 'broken', 'sft', 'model'));
    expect(fineTuned).toBe(weights(join(folder, 'whole', 'sft', 'model')));
    expect(fineTuned).not.toBe(weights(join(packageRoot, 'assets', 'stories260K')));
    // The reference is the fine-tuned model, so the first loss is ln 2.
    const losses = events.flatMap((event) =>
      event.kind === 'metrics' && event.iteration === 1 ? [event.values.loss] : [],
    );
    expect(losses[0]).toBe(Math.LN2);
    await expect(
      runRecipe(loadRecipe(path, { overrides: [`output=${join(folder, 'whole')}`, 'sft.training.epochs=2'] })),
    ).rejects.toMatchObject({ code: 'RUN_DIFFERS' });
  });

  it('tells a mistake in what comes after before the fine-tuning begins', async () => {
    const folder = join(root, 'mistake');
    const path = writeSmallRecipe(folder, { sft: section, ranker: { kind: 'function', module: 'gone.ts' } });
    writeFileSync(join(folder, 'conversations.jsonl'), `${JSON.stringify(ROWS[0])}\n`);
    const output = join(folder, 'run');
    await expect(runRecipe(loadRecipe(path, { overrides: [`output=${output}`] }))).rejects.toMatchObject({
      exitCode: 2,
    });
    expect(existsSync(output)).toBe(false);
  });

  it('wants one adapter for both', () => {
    const lora = (rank: number) => ({ kind: 'lora', rank });
    const path = writeSmallRecipe(join(root, 'adapters'), {
      sft: { ...section, training: { ...section.training, adapter: lora(4) } },
      training: { batchSize: 3, learningRate: 0.001, adapter: lora(8) },
    });
    expect(() => loadRecipe(path)).toThrow(/sft\.training\.adapter differs from training\.adapter/);
  });
});
