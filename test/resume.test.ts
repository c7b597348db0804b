/**
 * @file Kill the process anywhere, run the same command, and the weights are those of an unbroken run. A child runs a small
 * recipe and prints its events; the parent kills it (SIGKILL) after an event drawn at random, again and again.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sha256 } from '../src/files/hash.ts';
import { randomKey, uniformAt } from '../src/random.ts';
import { packageRoot } from '../src/torch/native.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

/** SELM_KILLS raises the number for the long run (`npm run test:kills`). */
const KILLS = Number(process.env.SELM_KILLS ?? 20);
const MAX_ATTEMPTS = 40;

let folder = '';
let recipePath = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'selm-resume-'));
  recipePath = writeSmallRecipe(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Attempt {
  /** Exit code, or null when it was killed. */
  code: number | null;
  events: { kind: string; stage?: string; text?: string }[];
  errors: string;
}

interface Kill {
  /** Whether what was printed so far is the moment. */
  when: (events: Attempt['events']) => boolean;
  delayMs: number;
}

function isSaving(event: Attempt['events'][number] | undefined): boolean {
  return event?.text?.startsWith('Saving') === true;
}

/** Runs the recipe; kills the child a moment after the events say so. */
function run(output: string, kill: Kill | null): Promise<Attempt> {
  return new Promise((resolve) => {
    const script = join(packageRoot, 'test', 'support', 'run-recipe.ts');
    const child = spawn(process.execPath, ['--import', 'tsx', script, recipePath, output], { cwd: packageRoot });
    const events: Attempt['events'] = [];
    let rest = '';
    let errors = '';
    child.stdout.on('data', (data: Buffer) => {
      const lines = (rest + data.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.startsWith('{')) events.push(JSON.parse(line) as Attempt['events'][number]);
      if (kill?.when(events)) {
        if (kill.delayMs === 0) child.kill('SIGKILL');
        else setTimeout(() => child.kill('SIGKILL'), kill.delayMs);
      }
    });
    child.stderr.on('data', (data: Buffer) => {
      errors += data.toString();
    });
    child.on('close', (code) => resolve({ code, events, errors }));
  });
}

function weights(output: string): string[] {
  return [1, 2].map((iteration) =>
    sha256(readFileSync(join(output, `iteration-${iteration}`, 'model', 'model.safetensors'))),
  );
}

it(
  `a run killed ${KILLS} times while sampling, ranking, training and saving ends with the bytes of an unbroken one`,
  async () => {
    const unbroken = await run(join(folder, 'unbroken'), null);
    expect(unbroken.errors.replace(/^.*npm warn.*$/gm, '')).not.toContain('Error');
    expect(unbroken.code).toBe(0);
    const expected = weights(join(folder, 'unbroken'));
    const total = unbroken.events.length;

    const key = randomKey(2024, 'kills');
    const killedIn = new Map<string, number>();
    let kills = 0;
    for (let runIndex = 0; kills < KILLS; runIndex++) {
      const output = join(folder, `killed-${runIndex}`);
      let finished = false;
      for (let attempt = 0; attempt < MAX_ATTEMPTS && !finished; attempt++) {
        // A few events at a time, so that one run meets many kills.
        const place = runIndex * MAX_ATTEMPTS + attempt;
        const count = 2 + Math.floor(uniformAt(key, 2 * place) * (total / 4));
        const delayMs = Math.floor(uniformAt(key, 2 * place + 1) * 12);
        // Every fourth kill waits for the moment of saving, which lasts only milliseconds.
        const when: Kill['when'] =
          kills % 4 === 3 ? (events) => isSaving(events.at(-1)) : (events) => events.length >= count;
        const { code, events, errors } = await run(output, kills < KILLS ? { when, delayMs } : null);
        if (code === null) {
          kills += 1;
          const last = events.at(-1);
          const stage = isSaving(last) ? 'save' : (last?.stage ?? last?.kind ?? 'start');
          killedIn.set(stage, (killedIn.get(stage) ?? 0) + 1);
        } else {
          expect(errors).not.toContain('Error');
          expect(code).toBe(0);
          finished = true;
        }
      }
      expect(finished).toBe(true);
      expect(weights(output)).toEqual(expected);
    }
    console.log(`killed after: ${[...killedIn].map(([stage, count]) => `${stage} ${count}`).join(', ')}`);
    for (const stage of ['sample', 'train', 'save'])
      expect(killedIn.get(stage) ?? 0, `kills in ${stage}`).toBeGreaterThan(0);
  },
  // Some 30 processes of about 2 s each, on a busy machine.
  Math.max(300_000, KILLS * 20_000),
);
