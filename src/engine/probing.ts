/** @file Loads native code in a child process (probe.ts), and tells from how the process ends what is wrong. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Finished, type Machine, run, thisMachine } from './machine.ts';

/** What the child found. */
export type Probe = { kind: 'loads'; version: string } | { kind: 'fails'; message: string };

const probeFile = join(dirname(fileURLToPath(import.meta.url)), 'probe.ts');

/** Loads a shared library (libtorch_cpu.so) in a child process. */
export function probeLibrary(path: string, machine: Machine = thisMachine): Probe {
  return probe('library', path, machine);
}

/** Loads an addon in a child process and computes a product and a gradient with it. */
export function probeAddon(path: string, machine: Machine = thisMachine): Probe {
  return probe('addon', path, machine);
}

/** Loads an addon and CUDA's half of LibTorch in a child process and computes a product on the first card. */
export function probeCuda(addon: string, library: string, machine: Machine = thisMachine): Probe {
  return probe('cuda', `${addon}:${library}`, machine);
}

/** Loads an npm package in a child process, by what `import` gives. */
export function probePackage(name: string, machine: Machine = thisMachine): Probe {
  const script = `import(${JSON.stringify(name)}).then(() => console.log('{"loaded":true,"version":""}'))`;
  const finished = run(process.execPath, ['--input-type=module', '-e', script], {
    machine,
    cwd: dirname(probeFile),
    timeoutMs: 60_000,
  });
  return readProbe(finished);
}

/** Reads the child's answer; no answer means that it died, and the signal says of what. */
export function readProbe({ status, signal, stdout, stderr }: Finished): Probe {
  const line = stdout.trim().split('\n').at(-1) ?? '';
  if (line.startsWith('{')) {
    const answer = JSON.parse(line) as { loaded?: unknown; version?: unknown; message?: unknown };
    return answer.loaded === true
      ? { kind: 'loads', version: String(answer.version) }
      : { kind: 'fails', message: String(answer.message) };
  }
  if (signal === 'SIGILL') {
    return {
      kind: 'fails',
      message: 'it was built for another CPU (illegal instruction): build it again on this machine',
    };
  }
  const error = stderr.split('\n').find((each) => /error/i.test(each)) ?? stderr.trim().split('\n').at(-1) ?? '';
  const end = signal === null ? `exit status ${status}` : signal;
  return {
    kind: 'fails',
    message: `the process that loaded it died (${end})${error === '' ? '' : `: ${error.trim()}`}`,
  };
}

function probe(kind: 'library' | 'addon' | 'cuda', path: string, machine: Machine): Probe {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  return readProbe(run(process.execPath, ['--import', tsx, probeFile, kind, path], { machine }));
}
