/** @file The table of a run's steps in a terminal of any width, and while the run goes on. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { writeSafetensors } from '../files/safetensors-write.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { parseSftRecipe } from '../recipe/load.ts';
import { openRun } from '../store/run-directory.ts';
import { followMetrics, metricLines } from './metrics.ts';

/** A run with two steps, open for more. */
function runWithSteps() {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'model'));
  writeFileSync(join(folder, 'model', 'config.json'), '{}');
  writeFileSync(join(folder, 'rows.jsonl'), '{}\n');
  const tensor = { name: 'w', dtype: 'U8', shape: [1], bytes: Uint8Array.of(1) } as const;
  writeSafetensors(join(folder, 'model', 'model.safetensors'), [tensor]);
  const recipe = parseSftRecipe(
    { name: 'first', model: 'model', data: { train: 'rows.jsonl' }, training: { learningRate: 1e-6 } },
    { workingDirectory: folder },
  );
  const run = openRun(recipe, { libtorchVersion: '2.15.0' });
  onTestFinished(() => run.close());
  const step = (number: number): void => {
    const values = { loss: 1 / (number + 1), lr: 1e-6, grad_norm: 2, tokens_per_second: 1234.5, seconds: 1.25 };
    run.ledger.putMetric({ iteration: 0, stage: 'sft', step: number, values });
  };
  run.ledger.stages.begin(0, 'sft');
  for (const number of [0, 1]) step(number);
  return { run, step };
}

test('metricLines() leaves out the last columns where the terminal is narrow, and says which', () => {
  const { run } = runWithSteps();
  const [wide = ''] = metricLines(run.path, { attempts: 'current' });
  expect(wide.split('\n')[0]).toMatch(/^iteration +step +loss +lr +grad_norm +tokens\/s +seconds$/);
  const [narrow = ''] = metricLines(run.path, { attempts: 'current', columns: 40 });
  expect(Math.max(...narrow.split('\n').map((line) => line.length))).toBeLessThanOrEqual(40);
  expect(narrow.split('\n')[0]).toMatch(/^iteration +step +loss +lr$/);
  expect(narrow.replaceAll(/\s+/g, ' ')).toContain('or with --json: grad_norm, tokens/s, seconds');
});

test('followMetrics() shows each step once, new ones as they come, and ends with the run', async () => {
  const { run, step } = runWithSteps();
  const lines: string[] = [];
  for await (const line of followMetrics(run.path, { attempts: 'current', json: true, intervalMs: 5 })) {
    lines.push(line);
    if (lines.length === 2) step(2);
    if (lines.length === 3) run.close();
  }
  expect(lines.map((line) => (JSON.parse(line) as { step: number }).step)).toEqual([0, 1, 2]);
});
