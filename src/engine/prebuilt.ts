/**
 * @file An engine that was built elsewhere, from an optional package such as @selm/engine-linux-x64 (made by
 * scripts/build-engine-package.ts). It needs no compiler: its one reference to LibTorch is a path in the file, which is
 * overwritten with the place of LibTorch on this machine.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { writeFileAtomic } from '../files/atomic.ts';
import { sha256Folder } from '../files/hash.ts';
import { type EngineRecord, libtorchVersionOf, minorVersion, readEngineRecord } from '../torch/native.ts';
import { type Machine, thisMachine } from './machine.ts';
import { type Probe, probeAddon } from './probing.ts';

/** What native/CMakeLists.txt puts into the search path of the variant `portable`, so that there is room for another path. */
export const PLACEHOLDER = '/selm-libtorch-lies-elsewhere';

/** Packages by platform and processor; other machines build the engine. */
export const ENGINE_PACKAGES: Readonly<Record<string, string>> = {
  'linux-x64': '@selm/engine-linux-x64',
  'linux-arm64': '@selm/engine-linux-arm64',
};

/** A package with an engine. */
export interface Prebuilt {
  name: string;
  folder: string;
  record: EngineRecord;
}

/** The package for this machine, if it is installed. */
export function findPrebuilt({ platform, arch }: Machine = thisMachine): Prebuilt | null {
  const name = ENGINE_PACKAGES[`${platform}-${arch}`];
  if (name === undefined) return null;
  try {
    const folder = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
    const record = readEngineRecord(folder);
    return record === null ? null : { name, folder, record };
  } catch {
    return null; // not installed
  }
}

/** Why a package's engine cannot be used, or null where it can: it must be of these sources. */
export function prebuiltProblem({ record }: Prebuilt, sources: string): string | null {
  // A package of selm whose sources were left out can only have been made for it.
  const isOurs = !existsSync(sources) || record.sourcesSha256 === sha256Folder(sources);
  return isOurs ? null : 'it was built from other sources than those of this selm';
}

/**
 * Puts a package's engine into `output`, bound to a LibTorch, and tries it. Null where it does not fit or does not load here;
 * `log` hears why.
 */
export function placePrebuilt(
  { name, folder, record }: Prebuilt,
  {
    libtorch,
    output,
    machine = thisMachine,
    log,
    probe = probeAddon,
  }: {
    libtorch: string;
    output: string;
    machine?: Machine;
    log: (line: string) => void;
    probe?: (path: string, machine: Machine) => Probe;
  },
): EngineRecord | null {
  const refuse = (reason: string): null => {
    log(`${name} is skipped: ${reason}`);
    return null;
  };
  const version = libtorchVersionOf(libtorch);
  if (version === null || minorVersion(version) !== minorVersion(record.libtorchVersion))
    return refuse(`it is for LibTorch ${minorVersion(record.libtorchVersion)}, and ${libtorch} holds ${version}`);
  const bound = bindLibtorch(readFileSync(join(folder, 'selm.node')), join(libtorch, 'lib'));
  if (bound === null) return refuse(`the path ${libtorch} is too long for it`);
  mkdirSync(output, { recursive: true });
  // Node loads an addon by the end of its name.
  const temporary = join(output, `.selm-${process.pid}.node`);
  writeFileSync(temporary, bound);
  chmodSync(temporary, 0o755);
  const found = probe(temporary, machine);
  if (found.kind === 'fails') {
    rmSync(temporary);
    return refuse(`it does not load here: ${found.message}`);
  }
  const placed = { ...record, libtorchVersion: version, libtorchDirectory: libtorch };
  renameSync(temporary, join(output, 'selm.node'));
  writeFileAtomic(join(output, 'engine.json'), `${JSON.stringify(placed, null, 2)}\n`);
  log(`The engine of ${name} is in place`);
  return placed;
}

/** The addon with its search path for libraries replaced, which is a text that ends in a zero byte; null where it has no room. */
export function bindLibtorch(addon: Buffer, folder: string): Buffer | null {
  const found = addon.indexOf(PLACEHOLDER);
  if (found < 0) return null;
  const start = addon.lastIndexOf(0, found) + 1;
  const end = addon.indexOf(0, found);
  const path = Buffer.from(folder);
  if (end < 0 || path.length > end - start) return null;
  const bound = Buffer.from(addon);
  bound.fill(0, start, end);
  path.copy(bound, start);
  return bound;
}
