/**
 * @file Ranks that are killed at random in every stage, rank 0 among them: the others end by themselves, the same command goes on,
 * and the weights are those of an unbroken run on as many ranks, however these share the policy. SELM_KILLS says how often (20).
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sha256 } from '../../src/files/hash.ts';
import { randomKey, uniformAt } from '../../src/random.ts';
import { type Ended, type Kill, runOnRanks, type StageEvent } from '../support/run-on-ranks.ts';
import { writeSmallRecipe } from '../support/small-recipe.ts';

const KILLS = Number(process.env.SELM_KILLS ?? 20);
const RANKS = 3;
/** Kills on the way of one run. */
const KILLS_A_RUN = 7;

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

function run(output: string, { sharding, more }: Way, kill: Kill | null = null): Promise<Ended> {
  const settings = [`output=${join(folder, output)}`, `training.sharding=${sharding}`, ...more];
  return runOnRanks(recipePath, { ranks: RANKS, settings, kill });
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
    // The stages that were met least.
    const dealt = [...course.moments.keys()].map((place) => ({ place, turn: (met.get(stageOf(place)) ?? 0) + draw() }));
    const places = dealt.sort((a, b) => a.turn - b.turn).map(({ place }) => place);
    let code: number | null = null;
    for (const place of course.sorted(places.slice(0, KILLS_A_RUN))) {
      const moments = course.moments.get(place) ?? [];
      const moment = moments[Math.floor(draw() * moments.length)];
      if (moment === undefined || isEnough()) continue;
      const rank = Math.floor(draw() * RANKS);
      // Where there is time, somewhere in it: most of a stage's work is done between two events.
      const delayMs = moment.lastsMs < 50 ? 0 : 0.8 * draw() * moment.lastsMs;
      const when = (event: StageEvent): boolean => course.hasReached(event, moment.event);
      const { killedMs, events, ...ended } = await run(output, way, { rank, when, delayMs });
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
