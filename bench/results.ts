/** @file Results of a benchmark as JSON in bench/results/, with the machine and the versions that they belong to. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readEngineRecord } from '../src/torch/native.ts';

const here = dirname(fileURLToPath(import.meta.url));

/** Writes bench/results/NAME.json. */
export function saveResult(name: string, result: Record<string, unknown>): void {
  const folder = join(here, 'results');
  mkdirSync(folder, { recursive: true });
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, loadAfter: loadavg() };
  const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: here, encoding: 'utf8' }).stdout.trim();
  // From its record: loading the engine would set how OpenMP waits in this process, and so in the peers that it starts.
  const versions = { selm: commit, libtorch: readEngineRecord()?.libtorchVersion, node: process.version };
  const text = JSON.stringify(
    { formatVersion: 1, date: new Date().toISOString(), machine, versions, ...result },
    null,
    2,
  );
  writeFileSync(join(folder, `${name}.json`), `${text}\n`);
}
