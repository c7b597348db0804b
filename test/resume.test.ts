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
import { packageRoot } from '../src/files/package-root.ts';
import { randomKey, uniformAt } from '../src/random.ts';
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

type Event = Attempt['events'][number];

/** Stages to be killed in, in turn. */
const STAGES = ['sample', 'rank', 'train', 'save'] as const;
type Stage = (typeof STAGES)[number];

/** The moment of a kill: a few milliseconds after the `count`-th event of a stage. */
interface Kill {
  stage: Stage;
  count: number;
  delayMs: number;
}

function stageOf(event: Event): string | undefined {
  return event.text?.startsWith('Saving') === true ? 'save' : event.stage;
}

/** Runs the recipe; kills the child at its moment, if that comes. */
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
      if (kill !== null && events.filter((event) => stageOf(event) === kill.stage).length >= kill.count) {
        setTimeout(() => child.kill('SIGKILL'), kill.delayMs);
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

    const key = randomKey(2024, 'kills');
    const killedIn = new Map<string, number>();
    let kills = 0;
    for (let runIndex = 0; kills < KILLS; runIndex++) {
      const output = join(folder, `killed-${runIndex}`);
      let finished = false;
      for (let attempt = 0; attempt < MAX_ATTEMPTS && !finished; attempt++) {
        const place = 2 * (runIndex * MAX_ATTEMPTS + attempt);
        const stage = STAGES[kills % STAGES.length] ?? 'sample';
        const kill: Kill = {
          stage,
          // Saving is one event an iteration and lasts milliseconds; the other stages have some events more.
          count: stage === 'save' ? 1 : 1 + Math.floor(uniformAt(key, place) * 8),
          delayMs: Math.floor(uniformAt(key, place + 1) * (stage === 'save' ? 4 : 12)),
        };
        const { code, errors } = await run(output, kills < KILLS ? kill : null);
        if (code === null) {
          kills += 1;
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
    for (const stage of STAGES) expect(killedIn.get(stage) ?? 0, `kills in ${stage}`).toBeGreaterThan(0);
  },
  // Some 30 processes of about 2 s each, on a busy machine.
  Math.max(300_000, KILLS * 20_000),
);
