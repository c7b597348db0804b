/**
 * @file Ranks that are killed at random in every stage, rank 0 among them: the others end by themselves, the same command goes on,
 * and the weights are those of an unbroken run on as many ranks, however these share the policy. SELM_KILLS says how often (20).
 * Besides: what ranks make of a reward model and of `selm eval`, and how ranks that cannot work are refused.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../../src/files/hash.ts';
import { packageRoot } from '../../src/files/package-root.ts';
import { randomKey, uniformAt } from '../../src/random.ts';
import type { LoopEvent } from '../../src/store/events.ts';
import { openLedger } from '../../src/store/ledger.ts';
import { writeSmallRecipe } from '../support/small-recipe.ts';

const KILLS = Number(process.env.SELM_KILLS ?? 20);
const RANKS = 3;
/** A rank whose others are gone has ended by then. */
const END_MS = 30_000;

let folder = '';
let recipePath = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'selm-ranks-kills-'));
  recipePath = writeSmallRecipe(folder, { evaluate: { holdOut: 4, explorationPrompts: 4, maxNewTokens: 12 } });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A way to run: how ranks share the policy, and a recipe whose stages are not all those of the others. */
interface Way {
  sharding: 'none' | 'optimiser' | 'full';
  more: string[];
}
const WAYS: readonly Way[] = [
  { sharding: 'none', more: [] },
  { sharding: 'optimiser', more: ['rewardModel={labels: 6, alpha: 0.01, learningRate: 0.001}'] },
  { sharding: 'full', more: ['select={budget: 8}'] },
];

/** What a run tells of a stage, told at its place. */
type StageEvent = Extract<LoopEvent, { kind: 'stage-started' | 'stage-progress' | 'stage-finished' }>;

/** Kills one rank a while after the run has come to a place. */
interface Kill {
  rank: number;
  when(event: StageEvent): boolean;
  delayMs: number;
}

interface Ended {
  code: number | null;
  events: StageEvent[];
  /** When the kill was made, milliseconds since 1970; null where the run ended before. */
  killedMs: number | null;
}

/** Runs to the end or to the kill; afterwards no rank lives. */
async function run(
  output: string,
  { sharding, more }: Way,
  { kill = null, ranks = RANKS }: { kill?: Kill | null; ranks?: number } = {},
): Promise<Ended> {
  const settings = [`output=${join(folder, output)}`, `training.sharding=${sharding}`, ...more];
  const words = ['train', recipePath, '--json', '--ranks', String(ranks)];
  const child = spawn(
    process.execPath,
    [join(packageRoot, 'bin', 'selm'), ...words, ...settings.flatMap((each) => ['--set', each])],
    { env: { ...process.env, SELM_THREADS: '1' }, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const ended: Ended = { code: null, events: [], killedMs: null };
  let others: ReadonlyMap<number, number> = new Map();
  let isAimed = false;
  const strike = (rank: number): void => {
    const pid = rank === 0 ? child.pid : others.get(rank);
    if (pid === undefined || !isAlive(pid)) return;
    ended.killedMs = Date.now();
    process.kill(pid, 'SIGKILL');
  };
  let rest = '';
  child.stdout.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const event of lines.map((line) => JSON.parse(line) as LoopEvent).filter(isOfStage)) {
      ended.events.push(event);
      if (others.size < ranks - 1) others = ranksBelow(child.pid);
      if (kill === null || isAimed || !kill.when(event)) continue;
      isAimed = true;
      if (kill.delayMs === 0) strike(kill.rank);
      else setTimeout(() => strike(kill.rank), kill.delayMs);
    }
  });
  ended.code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  const living = (): number[] => [...others.values()].filter(isAlive);
  for (let waitedMs = 0; living().length > 0; waitedMs += 100) {
    if (waitedMs > END_MS) throw new Error(`A rank lives after the others are gone: ${living()}`);
    await sleep(100);
  }
  return ended;
}

function isOfStage(event: LoopEvent): event is StageEvent {
  return event.kind === 'stage-started' || event.kind === 'stage-progress' || event.kind === 'stage-finished';
}

/** Processes that rank 0 started as other ranks, by their numbers. */
function ranksBelow(pid: number | undefined): Map<number, number> {
  const children = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(children)) return new Map();
  const found = readFileSync(children, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number).filter(isAlive);
  return new Map(
    found.flatMap((each): [number, number][] => {
      const rank = /(?:^|\0)RANK=(\d+)\0/.exec(readFileSync(`/proc/${each}/environ`, 'utf8'))?.[1];
      return rank === undefined ? [] : [[Number(rank), each]];
    }),
  );
}

function isAlive(pid: number): boolean {
  const status = `/proc/${pid}/status`;
  return existsSync(status) && !readFileSync(status, 'utf8').includes('State:\tZ');
}

const weights = (output: string): string[] =>
  [1, 2].map((iteration) =>
    sha256(readFileSync(join(folder, output, `iteration-${iteration}`, 'model', 'model.safetensors'))),
  );

/** The stages of an unbroken run in their order, and what it told in each. */
class Course {
  /** Events after which a stage is under way: that before it finished, or it says itself how far it is. */
  readonly moments = new Map<string, { event: StageEvent; lastsMs: number }[]>();
  readonly #order: string[];

  constructor(events: readonly StageEvent[]) {
    this.#order = [...new Set(events.map(placeOf))];
    for (const [index, event] of events.entries()) {
      const next = events[index + 1];
      if (next === undefined) continue; // afterwards the report is written
      const moments = this.moments.get(this.after(event)) ?? [];
      this.moments.set(this.after(event), [...moments, { event, lastsMs: next.timeMs - event.timeMs }]);
    }
  }

  /** The stage that is under way after an event. */
  after(event: StageEvent): string {
    const place = placeOf(event);
    return event.kind === 'stage-finished' ? (this.#order[this.#order.indexOf(place) + 1] ?? 'the report') : place;
  }

  /** Whether a run that tells `event` has come as far as `moment`. */
  hasReached(event: StageEvent, moment: StageEvent): boolean {
    const ahead = this.#order.indexOf(placeOf(event)) - this.#order.indexOf(placeOf(moment));
    return ahead > 0 || (ahead === 0 && doneOf(event) >= doneOf(moment));
  }

  /** Places in the order in which a run comes to them. */
  sorted(places: readonly string[]): string[] {
    return this.#order.filter((place) => places.includes(place));
  }
}

const placeOf = ({ iteration, stage }: StageEvent): string => `${iteration} ${stage}`;
const doneOf = (event: StageEvent): number => (event.kind === 'stage-finished' ? Number.POSITIVE_INFINITY : event.done);
const stageOf = (place: string): string => place.split(' ')[1] ?? place;

it(`${KILLS} kills of random ranks in all stages change no byte of the weights, and leave no rank behind`, async () => {
  const key = randomKey(7, 'kills');
  let drawn = 0;
  const draw = (): number => uniformAt(key, drawn++);
  const courses: Course[] = [];
  for (const way of WAYS) {
    const unbroken = await run(`unbroken-${way.sharding}`, way);
    expect(unbroken.code).toBe(0);
    courses.push(new Course(unbroken.events));
  }
  const met = new Map(courses.flatMap(({ moments }) => [...moments.keys()]).map((place) => [stageOf(place), 0]));
  const kills: { sharding: string; place: string; rank: number }[] = [];
  const isEnough = (): boolean => kills.length >= KILLS && [...met.values()].every((count) => count > 0);
  const killsOf = (rank: number): number => kills.filter((each) => each.rank === rank).length;
  for (let round = 0; !isEnough(); round++) {
    // A stage of a millisecond may be over when it is struck, so that there may be some more.
    expect(kills.length, JSON.stringify([...met])).toBeLessThan(2 * KILLS);
    const [way, course] = [WAYS[round % WAYS.length], courses[round % WAYS.length]];
    if (way === undefined || course === undefined) throw new Error('No way');
    const output = `killed-${round}`;
    // Seven kills on a run's way, in the stages that were met least.
    const dealt = [...course.moments.keys()].map((place) => ({ place, rank: (met.get(stageOf(place)) ?? 0) + draw() }));
    const places = dealt.sort((a, b) => a.rank - b.rank).map(({ place }) => place);
    let code: number | null = null;
    for (const place of course.sorted(places.slice(0, 7))) {
      const moments = course.moments.get(place) ?? [];
      const moment = moments[Math.floor(draw() * moments.length)];
      if (moment === undefined || isEnough()) continue;
      const rank = Math.floor(draw() * RANKS);
      // Where there is time, somewhere in it: most of a stage's work is done between two events.
      const delayMs = moment.lastsMs < 50 ? 0 : 0.8 * draw() * moment.lastsMs;
      const when = (event: StageEvent): boolean => course.hasReached(event, moment.event);
      const { killedMs, events, ...ended } = await run(output, way, { kill: { rank, when, delayMs } });
      code = ended.code;
      const last = killedMs === null ? undefined : events.findLast(({ timeMs }) => timeMs <= killedMs);
      if (last === undefined) break; // it came to its end before
      const hit = course.after(last);
      met.set(stageOf(hit), (met.get(stageOf(hit)) ?? 0) + 1);
      kills.push({ sharding: way.sharding, place: hit, rank });
    }
    if (code !== 0) expect((await run(output, way)).code).toBe(0);
    expect(weights(output), output).toEqual(weights(`unbroken-${way.sharding}`));
  }
  process.stdout.write(
    `${kills.map(({ sharding, place, rank }) => `${sharding}: rank ${rank} in ${place}`).join('\n')}\n`,
  );
  for (const rank of [0, 1, 2]) expect(killsOf(rank), `kills of rank ${rank}`).toBeGreaterThan(0);
}, 1_800_000);

it('a reward model that three ranks learn, and rank by, has the losses of one process, and gives pairs of the same prompts', async () => {
  const more = ['iterations=1', 'rewardModel={labels: 6, alpha: 0.01, learningRate: 0.001}'];
  for (const ranks of [1, 3])
    expect(await run(`reward-${ranks}`, { sharding: 'none', more }, { ranks })).toMatchObject({ code: 0 });
  const found = ['reward-1', 'reward-3'].map((output) => {
    using ledger = openLedger(join(folder, output, 'run.db'));
    const losses = ledger
      .metrics()
      .filter(({ stage }) => stage === 'reward-model')
      .map(({ values }) => values.loss ?? Number.NaN);
    return {
      losses,
      prompts: ledger
        .pairs(1)
        .map(({ promptId }) => promptId)
        .sort(),
    };
  });
  const [alone, three] = found;
  expect(alone?.losses.length).toBeGreaterThan(0);
  expect(three?.prompts).toEqual(alone?.prompts);
  // fp32 sums in another order.
  for (const [step, loss] of (alone?.losses ?? []).entries())
    expect(Math.abs((three?.losses[step] ?? Number.NaN) - loss)).toBeLessThan(1e-5);
}, 300_000);

it('selm eval on three ranks prints what one process prints', async () => {
  const model = join(packageRoot, 'assets', 'stories260K');
  const data = join(packageRoot, 'test', 'fixtures', 'evaluate', 'benchmarks', 'data');
  const print = (ranks: number): Promise<string> => {
    const store = join(folder, `answers-${ranks}.db`);
    const args = ['eval', model, '--on', 'hellaswag,gsm8k_cot', '--data', data, '--limit', '5', '--json'];
    const child = spawn(
      process.execPath,
      [join(packageRoot, 'bin', 'selm'), ...args, '--store', store, '--ranks', String(ranks)],
      {
        env: { ...process.env, SELM_THREADS: '1' },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let text = '';
    child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
    return new Promise((resolve) => child.on('close', () => resolve(text)));
  };
  const alone = await print(1);
  expect(JSON.parse(alone)).toHaveProperty('benchmarks');
  expect(await print(3)).toBe(alone);
}, 300_000);

it.each([
  ['the others first', [1, 2, 0]],
  ['rank 0 first', [0, 1, 2]],
])(
  'SIGTERM at all ranks, %s, saves and stops them as one at rank 0 does',
  async (_, order) => {
    const output = join(folder, `stopped-${order[0]}`);
    const child = spawn(
      process.execPath,
      [join(packageRoot, 'bin', 'selm'), 'train', recipePath, '--json', '--ranks', '3', '--set', `output=${output}`],
      { env: { ...process.env, SELM_THREADS: '1' }, stdio: ['ignore', 'pipe', 'ignore'] },
    );
    let told = '';
    let isAsked = false;
    child.stdout.on('data', async (data: Buffer) => {
      told += data.toString();
      if (isAsked || !told.includes('"stage":"sample"')) return;
      isAsked = true;
      const others = ranksBelow(child.pid);
      for (const rank of order) {
        process.kill((rank === 0 ? child.pid : others.get(rank)) ?? Number.NaN, 'SIGTERM');
        await sleep(150); // rank 0 has heard of the first by now
      }
    });
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(143);
    expect(told).toContain('"kind":"run-stopped"');
  },
  120_000,
);

describe('ranks that cannot work', () => {
  let taken: Server;
  beforeAll(async () => {
    taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, resolve));
  });
  afterAll(() => void taken.close());
  const port = (): string => {
    const address = taken.address();
    return String(typeof address === 'object' && address !== null ? address.port : 0);
  };

  it.each<[string, string[], () => Record<string, string>, string]>([
    [
      'a port in use',
      [],
      () => ({ RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: port() }),
      'of this machine is in use: set MASTER_PORT',
    ],
    [
      'more ranks than prompts',
      ['--ranks', '3', '--set', 'data.limit=4'],
      () => ({}),
      'the smallest slice of prompts has 2, and each rank takes at least one',
    ],
    [
      'sharding that cannot apply',
      ['--ranks', '3', '--set', 'training.sharding=full', '--set', 'training.activations=keep'],
      () => ({}),
      'training.sharding is full, which frees a block after its forward pass, and activations is keep',
    ],
  ])('%s is one error, exit code 2, and nothing is written', (_, words, environment, message) => {
    const output = join(folder, 'refused');
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(packageRoot, 'bin', 'selm'), 'train', recipePath, '--set', `output=${output}`, ...words],
      { env: { ...process.env, SELM_THREADS: '1', ...environment() }, encoding: 'utf8' },
    );
    expect(stderr).toContain(message);
    expect(stderr.match(/Cannot /g), stderr).toHaveLength(1);
    expect(status).toBe(2);
    expect(existsSync(output)).toBe(false);
  });
});
