/**
 * @file A real vLLM for tests and for the script that records one: the environment in the cache folder, or the command in SELM_VLLM.
 * On a CPU it is there after 30 to 60 seconds, in 1 GB of memory.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The command `vllm`; null where it is not installed. */
export function vllmCommand(): string | null {
  const path = process.env.SELM_VLLM ?? join(homedir(), '.cache', 'selm', 'vllm', 'bin', 'vllm');
  return existsSync(path) ? path : null;
}

/** Longest wait for a server to come up. */
const START_MS = 300_000;

export interface VllmServer {
  url: string;
  /** The end of what it wrote. */
  log(): string;
  close(): Promise<void>;
}

/** Serves a model folder on loopback under the name `policy`, in fp32, with the calls that reload it. */
export async function startVllm(modelFolder: string, options: readonly string[] = []): Promise<VllmServer> {
  const command = vllmCommand();
  if (command === null) throw new Error('vLLM is not installed: set SELM_VLLM to its command');
  const port = await freePort();
  const home = join(tmpdir(), 'selm-vllm-home');
  mkdirSync(home, { recursive: true });
  const given = ['--served-model-name', 'policy', '--dtype', 'float32', '--max-model-len', '256', '--enforce-eager'];
  const child = spawn(
    command,
    ['serve', modelFolder, ...given, '--host', '127.0.0.1', '--port', `${port}`, ...options],
    {
      // A group of its own: its workers are ended with it.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        VLLM_SERVER_DEV_MODE: '1',
        VLLM_ALLOW_RUNTIME_LORA_UPDATING: 'True',
        VLLM_CPU_KVCACHE_SPACE: '1',
        VLLM_CPU_OMP_THREADS_BIND: 'nobind',
        OMP_NUM_THREADS: '1',
        HF_HUB_OFFLINE: '1',
        HF_HOME: home,
        VLLM_NO_USAGE_STATS: '1',
      },
    },
  );
  let written = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      written = (written + chunk.toString()).slice(-20_000);
    });
  const url = `http://127.0.0.1:${port}`;
  const server: VllmServer = { url, log: () => written, close: () => end(child) };
  try {
    await untilUp(url, child, () => written);
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

async function untilUp(url: string, child: ChildProcess, log: () => string): Promise<void> {
  const untilMs = performance.now() + START_MS;
  while (performance.now() < untilMs) {
    if (child.exitCode !== null) throw new Error(`vLLM ended with ${child.exitCode}: ${log()}`);
    const isUp = await fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) return;
    await sleep(500);
  }
  throw new Error(`vLLM did not come up: ${log()}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const group = -child.pid;
  process.kill(group, 'SIGINT');
  const timer = setTimeout(() => process.kill(group, 'SIGKILL'), 10_000);
  await ended;
  clearTimeout(timer);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
