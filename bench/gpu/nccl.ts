/**
 * @file NCCL on one GPU, within a minute: every collective as ranks use it, and small trainings, in a group of one rank and in one of
 * two. `npx tsx bench/gpu/nccl.ts [DEVICE]`; on `cpu` the same over Gloo. One line a check, `ok:` or `FAILED:`; exit code 1 if any
 * failed. NCCL takes no two ranks of one machine on one card, so that the two say that they are on different machines, and
 * talk over the loopback interface.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { KeyStore } from '../../src/torch/key-store.ts';
import { engineVersion } from '../../src/torch/native.ts';
import { ncclLibrary } from '../../src/torch/nccl.ts';
import { openProcessGroup } from '../../src/torch/process-group.ts';
import { type Check, collectiveChecks, missingRankCheck, trainingChecks } from './collectives.ts';

/** Longest time of all ranks of a group; of one collective, and of the one whose rank is missing. */
const GROUP_MS = 28_000;
const COLLECTIVE_MS = 8_000;

const [device = 'cuda', rank, size, port] = process.argv.slice(2);
if (rank === undefined) await startGroups();
else await runRank({ rank: Number(rank), size: Number(size), port: Number(port) });

/** Starts the ranks of each group, as processes, and ends those that hang. */
async function startGroups(): Promise<void> {
  for (const count of [1, 2]) {
    const host = await KeyStore.open({ host: '127.0.0.1', port: 0, hosts: true }, { timeoutMs: GROUP_MS });
    const codes = await Promise.all(Array.from({ length: count }, (_, each) => startRank(each, count, host.port)));
    host.close();
    if (codes.some((code) => code !== 0)) process.exitCode = 1;
  }
}

function startRank(own: number, count: number, storePort: number): Promise<number | null> {
  const args = [fileURLToPath(import.meta.url), device, String(own), String(count), String(storePort)];
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: GROUP_MS,
    killSignal: 'SIGKILL',
    env: { ...process.env, ...(count === 1 ? {} : { NCCL_HOSTID: `machine-${own}`, NCCL_SOCKET_IFNAME: 'lo' }) },
  });
  return new Promise((resolve) =>
    child.on('close', (code, signal) => {
      if (signal !== null)
        console.log(`FAILED: rank ${own} of ${count}: it did not end within ${GROUP_MS / 1000} s (${signal})`);
      resolve(code);
    }),
  );
}

async function runRank(place: { rank: number; size: number; port: number }): Promise<never> {
  const who = `rank ${place.rank} of ${place.size}`;
  let failures = 0;
  const run = async ({ name, run: check }: Check): Promise<void> => {
    try {
      const found = await check();
      if (place.rank === 0) console.log(`ok: ${who}: ${name}${found === '' ? '' : ` (${found})`}`);
    } catch (error) {
      failures += 1;
      console.log(`FAILED: ${who}: ${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  await run({ name: `LibTorch ${engineVersion()} computes on ${device}`, run: async () => ncclLibrary(device) });
  const host = '127.0.0.1';
  const store = await KeyStore.open({ host, port: place.port, hosts: false }, { timeoutMs: COLLECTIVE_MS });
  const group = await openProcessGroup(store, {
    ...{ rank: place.rank, size: place.size, timeoutMs: COLLECTIVE_MS, networkInterface: '', host },
    ncclLibrary: ncclLibrary(device),
  });
  for (const check of [...collectiveChecks(group, device), ...trainingChecks(group, device)]) await run(check);
  const waitMs = COLLECTIVE_MS + 4000;
  if (place.size > 1) await run(missingRankCheck(group, { device, waitMs }));
  // What still waits for the missing rank must not keep this process.
  process.exit(failures === 0 ? 0 : 1);
}
