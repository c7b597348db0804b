/** @file Whole small runs for tests: a changed small recipe, run in this process, and what it left behind. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { sha256 } from '../../src/files/hash.ts';
import { runRecipe } from '../../src/loop/run.ts';
import { loadRecipe } from '../../src/recipe/load.ts';
import type { LoopEvent } from '../../src/store/events.ts';
import { openLedger } from '../../src/store/ledger.ts';
import type { StoredPair } from '../../src/store/ledger-rows.ts';
import { writeSmallRecipe } from './small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-runs-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

/** Runs a changed small recipe; rows with pairs where `pairs` is given. */
export async function run(
  changes: Record<string, unknown>,
  pairs?: 'with pairs',
): Promise<{ output: string; events: LoopEvent[] }> {
  const folder = join(root, String(count++));
  const path = writeSmallRecipe(folder, changes);
  if (pairs !== undefined) {
    const names = ['Lily', 'Tom', 'Mia', 'Ben', 'Sue', 'Max', 'Tim', 'Amy', 'Sam'];
    const rows = names.map((name) => ({
      prompt: `${name} saw a dog.`,
      chosen: ' A happy dog and a cat ran.',
      rejected: ' No.',
    }));
    writeFileSync(join(folder, 'prompts.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  }
  const output = join(folder, 'run');
  const events: LoopEvent[] = [];
  await runRecipe(loadRecipe(path, { overrides: [`output=${output}`] }), { watch: (event) => void events.push(event) });
  return { output, events };
}

export function weights(output: string, iteration: number): string {
  return sha256(readFileSync(join(output, `iteration-${iteration}`, 'model', 'model.safetensors')));
}

export function pairsOf(output: string, iteration: number): StoredPair[] {
  using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
  return ledger.pairs(iteration);
}

export function stagesOf(events: LoopEvent[]): string[] {
  return events.flatMap((event) => (event.kind === 'stage-started' ? [event.stage] : []));
}

export function lossesOf(events: LoopEvent[], iteration: number): number[] {
  return events.flatMap((event) =>
    event.kind === 'metrics' && event.iteration === iteration ? [event.values.loss ?? Number.NaN] : [],
  );
}
