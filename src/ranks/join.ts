/**
 * @file How ranks meet before any work: all are present, run the same thing, and see the same folder. If something is wrong,
 * rank 0 reports one error, and the others exit quietly.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RankLostError, RanksError } from '../errors.ts';
import { KeyStore } from '../torch/key-store.ts';
import { END_KEY, openProcessGroup, type ProcessGroup, silentRanks } from '../torch/process-group.ts';
import type { Place } from './place.ts';
import { type LocalRanks, startLocalRanks } from './spawn.ts';
import { type Lost, POLL_MS } from './team.ts';

/** What a rank runs. Two ranks that differ in it do not work together. */
export interface Identity {
  /** Of this program's code. */
  code: string;
  libtorch: string;
  node: string;
  recipe: unknown;
  /** Fingerprint of the model that lies where the recipe says; null where none does yet. */
  model: string | null;
  /** Fingerprint of the data that lie where the recipe says; null where some do not. */
  data: string | null;
}

export interface JoinOptions {
  identity: Identity;
  /** Why two ranks do not fit, as the end of a sentence, or null where they do. */
  mismatch: (rank0: Identity, other: Identity) => string | null;
  /** A folder that all ranks have to see; null where they share none. */
  sharedFolder: string | null;
  /** Longest wait for the others, at the beginning and in a collective. */
  timeoutMs: number;
  /** Of ranks on GPUs (torch/nccl.ts); '' on processors. */
  ncclLibrary: string;
  /** Takes what the started ranks write. */
  say: (line: string) => void;
  /** Milliseconds since 1970. @default Date.now */
  clock?: () => number;
  /** Whether this rank finds a text in a file of rank 0. @default reads it */
  finds?: (path: string, text: string) => boolean;
}

/** A rank among others. */
export interface Membership {
  place: Place;
  store: KeyStore;
  group: ProcessGroup;
  local: LocalRanks;
  lost: Lost;
  /** Leaves: rank 0 tells the others how the run ended, and waits for those that it can wait for. */
  leave(ending: 'finished' | 'stopped' | 'failed'): Promise<void>;
}

/** What a rank says when it comes. */
interface Card {
  identity: Identity;
  /** Whether it sees the folder of rank 0. */
  seesFolder: boolean;
  /** Its clock when it wrote this, milliseconds since 1970. */
  atMs: number;
}

/** A card that came, and how far its rank's clock is ahead of rank 0's, but for the moment that the card took. */
interface ReceivedCard extends Card {
  clockAheadMs: number;
}

const cardKey = (rank: number): string => `here/${rank}`;
const byeKey = (rank: number): string => `bye/${rank}`;
const VERDICT = 'verdict';
/** Clocks may differ by this much: times in logs and files then still tell what came first. */
const CLOCKS_MS = 60_000;
/** Time that the others have to leave after rank 0 said that the run ended. */
const GRACE_MS = 10_000;

/** Joins. Throws RanksError: RANKS_MISSING, RANKS_DIFFER, RANKS_FOLDER, RANKS_CLOCK, RANKS_PORT_IN_USE, RANKS_UNREACHABLE. */
export async function joinRanks(place: Place, options: JoinOptions): Promise<Membership> {
  const { rank, size } = place;
  const { timeoutMs } = options;
  const store = await KeyStore.open(place.store, { prefix: `selm/${place.attempt}`, timeoutMs });
  const local = startLocalRanks(place, place.store.hosts ? store.port : place.store.port, options.say);
  try {
    if (rank === 0) await admit({ store, local, size }, options);
    else await present({ store, rank }, options);
    const group = await openProcessGroup(store, {
      rank,
      size,
      timeoutMs,
      networkInterface: process.env.GLOO_SOCKET_IFNAME ?? '',
      host: place.store.host === '127.0.0.1' ? place.store.host : '',
      ncclLibrary: options.ncclLibrary,
    });
    return {
      place,
      store,
      group,
      local,
      lost: watchForLoss(store, local),
      leave: (ending) => leave({ place, store, group, local }, ending),
    };
  } catch (error) {
    if (rank === 0) await store.set(END_KEY, 'failed').catch(() => {});
    await local.end(rank === 0 ? 3000 : 0);
    store.close();
    throw error;
  }
}

/** Rank 0: waits for everybody, and looks at what they run. */
async function admit(
  { store, local, size }: { store: KeyStore; local: LocalRanks; size: number },
  { identity, mismatch, sharedFolder, timeoutMs, clock = Date.now }: JoinOptions,
): Promise<void> {
  const token = `${process.pid}-${Date.now()}`;
  const probe = sharedFolder === null ? null : join(sharedFolder, `.selm-ranks-${token}`);
  if (probe !== null) writeFileSync(probe, token);
  try {
    await store.set(cardKey(0), JSON.stringify({ identity, probe, token }));
    const cards = await everyCard({ store, local, size, timeoutMs, clock });
    for (const [index, card] of cards.entries())
      refuseUnfit(card, { rank: index + 1, size, sharedFolder, reason: mismatch(identity, card.identity) });
    await store.set(VERDICT, 'welcome');
  } finally {
    if (probe !== null) rmSync(probe, { force: true });
  }
}

/** Throws RanksError where a rank runs something else (`reason`), or sees another folder or another time than rank 0. */
function refuseUnfit(
  { seesFolder, clockAheadMs }: ReceivedCard,
  {
    rank,
    size,
    sharedFolder,
    reason,
  }: { rank: number; size: number; sharedFolder: string | null; reason: string | null },
): void {
  if (reason !== null) throw new RanksError('RANKS_DIFFER', `Cannot start ${size} ranks: rank ${rank} ${reason}`);
  if (!seesFolder) {
    throw new RanksError(
      'RANKS_FOLDER',
      `Cannot start ${size} ranks: rank ${rank} does not see the folder ${sharedFolder} of rank 0: run where all ranks share one`,
    );
  }
  if (Math.abs(clockAheadMs) > CLOCKS_MS) {
    throw new RanksError(
      'RANKS_CLOCK',
      `Cannot start ${size} ranks: the clock of rank ${rank} is ${Math.round(clockAheadMs / 1000)} s from rank 0's: set both by a time server, or nobody can tell from their times what came first`,
    );
  }
}

async function everyCard({
  store,
  local,
  size,
  timeoutMs,
  clock,
}: {
  store: KeyStore;
  local: LocalRanks;
  size: number;
  timeoutMs: number;
  clock: () => number;
}): Promise<ReceivedCard[]> {
  const startedMs = performance.now();
  const cards = new Map<number, ReceivedCard>();
  const others = Array.from({ length: size - 1 }, (_, index) => index + 1);
  for (;;) {
    for (const rank of others) {
      const text = cards.has(rank) ? null : await store.getText(cardKey(rank));
      if (text === null) continue;
      const card = JSON.parse(text) as Card; // of a rank of this program
      cards.set(rank, { ...card, clockAheadMs: card.atMs - clock() });
    }
    const missing = others.filter((rank) => !cards.has(rank));
    if (missing.length === 0) return others.flatMap((rank) => cards.get(rank) ?? []);
    const failure = local.failure();
    if (failure !== null) {
      throw new RanksError(
        'RANKS_MISSING',
        `Cannot start ${size} ranks: rank ${failure.rank} ended before it joined (${failure.how}); its last words:\n${failure.lastWords}`,
      );
    }
    if (performance.now() - startedMs > timeoutMs) {
      throw new RanksError(
        'RANKS_MISSING',
        `Cannot start ${size} ranks: rank ${missing.join(', ')} did not come within ${timeoutMs / 1000} s: see what its launcher says, or raise SELM_RANKS_TIMEOUT (seconds)`,
        { details: { missing } },
      );
    }
    await sleep(POLL_MS);
  }
}

/** Another rank: shows what it runs, and waits for the verdict. */
async function present(
  { store, rank }: { store: KeyStore; rank: number },
  { identity, timeoutMs, clock = Date.now, finds = reads }: JoinOptions,
): Promise<void> {
  const { probe, token } = JSON.parse(await waitFor(store, cardKey(0), timeoutMs)) as {
    probe: string | null;
    token: string;
  };
  const card: Card = { identity, seesFolder: probe === null || finds(probe, token), atMs: clock() };
  await store.set(cardKey(rank), JSON.stringify(card));
  await waitFor(store, VERDICT, timeoutMs);
}

function reads(path: string, text: string): boolean {
  try {
    return readFileSync(path, 'utf8') === text;
  } catch {
    return false;
  }
}

async function waitFor(store: KeyStore, key: string, timeoutMs: number): Promise<string> {
  const startedMs = performance.now();
  for (;;) {
    const text = await store.getText(key);
    if (text !== null) return text;
    if ((await store.get(END_KEY)) !== null) throw new RankLostError('RANKS_ENDED', 'Rank 0 ended the run');
    if (performance.now() - startedMs > timeoutMs)
      throw new RanksError(
        'RANKS_MISSING',
        `Cannot join the ranks: rank 0 did not answer within ${timeoutMs / 1000} s`,
      );
    await sleep(POLL_MS);
  }
}

/** Notices a rank that is gone: at once where this process started it, else when it counts no longer. */
function watchForLoss(store: KeyStore, local: LocalRanks): Lost {
  const asked = new Map<number, number>();
  return {
    async check(rank) {
      throwIfEnded(local);
      const before = asked.get(rank) ?? performance.now();
      asked.set(rank, before);
      if (performance.now() - before < 15_000) return;
      asked.set(rank, performance.now());
      const [silent] = await silentRanks(store, [rank]);
      if (silent !== undefined)
        throw new RankLostError(
          'RANK_LOST',
          `Rank ${rank} no longer answers: its process or machine is gone or stopped`,
        );
    },
  };
}

/** Throws RankLostError RANK_LOST where a rank that this process started has ended. */
export function throwIfEnded(local: LocalRanks): void {
  const failure = local.failure();
  if (failure === null) return;
  const words = failure.lastWords === '' ? '' : `; its last words:\n${failure.lastWords}`;
  throw new RankLostError('RANK_LOST', `Rank ${failure.rank} ended (${failure.how})${words}`, {
    details: { rank: failure.rank },
  });
}

async function leave(
  { place, store, group, local }: Pick<Membership, 'place' | 'store' | 'group' | 'local'>,
  ending: 'finished' | 'stopped' | 'failed',
): Promise<void> {
  if (place.rank === 0) {
    await store.set(END_KEY, ending).catch(() => {});
    group.close(); // whoever waits in a collective is woken
    // Where one is gone, the others are leaving already.
    await everyBye(store, place.size, local.failure() === null ? GRACE_MS / 2 : 1000);
    await local.end(GRACE_MS);
  } else {
    await store.set(byeKey(place.rank), '').catch(() => {});
    group.close();
    await local.end(ending === 'finished' ? GRACE_MS : 0);
  }
  store.close();
}

/** The table of keys is gone with this process: the others have read it before. */
async function everyBye(store: KeyStore, size: number, graceMs: number): Promise<void> {
  const startedMs = performance.now();
  for (let rank = 1; rank < size && performance.now() - startedMs < graceMs; ) {
    if ((await store.get(byeKey(rank)).catch(() => null)) !== null) rank += 1;
    else await sleep(POLL_MS);
  }
}
