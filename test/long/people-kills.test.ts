/**
 * @file Answers through the real interface while the studio and the run that waits are killed at random moments (SELM_KILLS times), also
 * while they start: none that was acknowledged is lost or doubled, none is invented, and the run ranks by exactly what was said.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from '../../src/files/temporary.testing.ts';
import { peopleFolder, readQuestions } from '../../src/rank/people/questions.ts';
import type { GivenAnswer, OpenQuestions } from '../../src/server/api.ts';
import { writeStudioRun } from '../../src/server/studio-run.testing.ts';
import { bundled } from '../support/bundled.ts';

const KILLS = Number(process.env.SELM_KILLS ?? 20);
/** A run of its own for so many kills: each answer reads all that were given before. */
const KILLS_OF_A_RUN = 50;
/** Answers between two kills, so that there is something to lose at each. */
const ANSWERS = 3;
/** Within which a kill falls: one after answering began, one after the process was started. */
const [ANSWERING_MS, STARTING_MS] = [60, 800];
const STARTING_SHARE = 0.2;
const token = 'token-of-the-kills-test';

let programs: Record<'studio-child' | 'people-ranker-child', string>;

beforeAll(async () => {
  programs = await bundled(['studio-child', 'people-ranker-child']);
});

afterAll(() => rmSync(dirname(programs['studio-child']), { recursive: true }));

/** A program that is started again whenever it is killed. */
interface Child {
  lines: string[];
  process(): ChildProcess;
  /** Resolves when it is ready, or died before. */
  start(): Promise<void>;
}

function child(name: keyof typeof programs, words: () => string[]): Child {
  const lines: string[] = [];
  let running: ChildProcess | null = null;
  return {
    lines,
    process: () => running ?? expect.fail('It was started'),
    async start() {
      lines.length = 0;
      const started = spawn(process.execPath, [programs[name], ...words()], { stdio: ['ignore', 'pipe', 'inherit'] });
      running = started;
      let text = '';
      await new Promise<void>((resolve) => {
        started.on('close', () => resolve());
        started.stdout.on('data', (data: Buffer) => {
          text += data.toString();
          const whole = text.split('\n');
          text = whole.pop() ?? '';
          lines.push(...whole);
          if (lines[0]?.startsWith('ready') === true) resolve();
        });
      });
    },
  };
}

async function killed({ process }: Child): Promise<void> {
  const dying = process();
  if (dying.exitCode !== null) return; // the ranker ends when everything is answered
  const closed = new Promise((resolve) => dying.on('close', resolve));
  dying.kill('SIGKILL');
  await closed;
}

const rounds = Array.from({ length: Math.ceil(KILLS / KILLS_OF_A_RUN) }, (_, round) => ({
  round: round + 1,
  kills: Math.min(KILLS_OF_A_RUN, KILLS - round * KILLS_OF_A_RUN),
}));

test.each(rounds)(
  'run $round: $kills kills of the studio and of the run that waits lose, double and invent no answer',
  async ({ kills }) => {
    const prompts = ANSWERS * kills + 10;
    const folder = temporaryFolder();
    const run = writeStudioRun(join(folder, 'mine'), { ranker: 'people', pairs: 1, steps: 1, iterations: 1 });
    let port = 0;
    const studio = child('studio-child', () => [folder, String(port), token]);
    const ranker = child('people-ranker-child', () => [run, String(prompts)]);
    await Promise.all([studio.start(), ranker.start()]);
    port = Number(studio.lines[0]?.split(' ')[1]);

    const sent = new Map<string, string>();
    const acknowledged = new Set<string>();
    let made = 0;
    const request = async (path: string, body?: GivenAnswer): Promise<OpenQuestions> => {
      const response = await fetch(`http://127.0.0.1:${port}/api/runs/mine/${path}`, {
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', connection: 'close' },
        ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
      });
      expect(response.status, await response.clone().text()).toBe(200);
      return (await response.json()) as OpenQuestions;
    };
    /** Answers some questions; what a dying studio did not acknowledge may or may not have been kept. */
    const answer = async (most: number): Promise<boolean> => {
      try {
        let { next } = await request('questions');
        for (let n = 0; n < most && next[0] !== undefined; n++) {
          const { id, left } = next[0];
          const key = `answer-${made++}`;
          sent.set(key, id);
          const choice = left.startsWith('better') ? 'left' : 'right';
          ({ next } = await request('answers', { question: id, choice, seconds: 1, key }));
          acknowledged.add(key);
        }
        return next.length > 0;
      } catch (error) {
        if (error instanceof TypeError) return true; // the connection went with the studio
        throw error;
      }
    };

    for (let kill = 0; kill < kills; kill++) {
      const victim = Math.random() < 0.5 ? studio : ranker;
      const isStarting = Math.random() < STARTING_SHARE;
      if (isStarting) {
        await killed(victim);
        const starting = victim.start();
        await Promise.all([setTimeout(Math.random() * STARTING_MS).then(() => killed(victim)), starting]);
      } else {
        const answering = answer(ANSWERS);
        await setTimeout(Math.random() * ANSWERING_MS);
        await Promise.all([killed(victim), answering]);
      }
      await victim.start();
    }
    while (!ranker.lines.includes('done')) {
      if (!(await answer(100))) await setTimeout(100);
    }
    for (const each of [studio, ranker]) await killed(each);

    const { keys, answers, answersTo, asked, settled } = readQuestions(peopleFolder(run));
    expect([...acknowledged].filter((key) => !keys.has(key))).toEqual([]);
    expect([...keys].filter((key) => !sent.has(key))).toEqual([]);
    expect([asked.size, settled.size, answers.length]).toEqual([prompts, prompts, prompts]);
    expect([...answersTo.values()].filter((each) => each.length !== 1)).toEqual([]);
    expect(ranker.lines.filter((line) => /^ranked \S+ 1,0$/.test(line))).toHaveLength(prompts);
  },
  120_000 + 20_000 * KILLS_OF_A_RUN,
);
