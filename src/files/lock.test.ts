import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { failingFs, systemError } from './fs.testing.ts';
import { nodeFs } from './fs.ts';
import { acquireLock, isAlive, lockHolder, processStart, thisProcess, waitUntilUnlocked } from './lock.ts';
import { temporaryFolder } from './temporary.testing.ts';

function deadPid(): number {
  return spawnSync('true').pid;
}

test('acquireLock() is refused while held, and free again after release', () => {
  const path = join(temporaryFolder(), 'run.lock');
  const lock = acquireLock(path);
  expect(() => acquireLock(path)).toThrow(
    expect.objectContaining({ name: 'RunError', code: 'RUN_LOCKED', exitCode: 2 }),
  );
  expect(() => acquireLock(path)).toThrow(`process ${process.pid} works in it: wait for it, or stop it`);
  lock.release();
  lock.release();
  expect(existsSync(path)).toBe(false);
  {
    using again = acquireLock(path);
    expect(JSON.parse(readFileSync(again.path, 'utf8'))).toEqual(thisProcess());
  }
  expect(readdirSync(join(path, '..'))).toEqual([]);
});

test('waitUntilUnlocked() waits for the holder, and no longer than it may or than its signal allows', async () => {
  const path = join(temporaryFolder(), 'run.lock');
  const lock = acquireLock(path);
  await waitUntilUnlocked(path, { limitMs: 1 });
  await waitUntilUnlocked(path, { limitMs: 60_000, signal: AbortSignal.abort() });
  expect(lockHolder(path)).not.toBeNull();
  setTimeout(() => lock.release(), 20);
  await waitUntilUnlocked(path, { limitMs: 60_000 });
  expect(lockHolder(path)).toBeNull();
});

test('acquireLock() respects another live process and takes over when it dies', async () => {
  const path = join(temporaryFolder(), 'run.lock');
  const child = spawn('sleep', ['60']);
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  writeFileSync(path, JSON.stringify({ pid, host: hostname(), startedAt: processStart(pid) }));
  expect(() => acquireLock(path)).toThrow(`process ${pid} works in it`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  acquireLock(path).release();
});

test.each([
  ['of a dead process', JSON.stringify({ pid: deadPid(), host: hostname(), startedAt: null })],
  ['whose process id now belongs to another process', JSON.stringify({ ...thisProcess(), startedAt: 'boot:1' })],
  ['that was torn', '{"pid":'],
  ['that is empty', ''],
  ['that is null', 'null'],
  ['without a process id', '{}'],
  ['of process 0', JSON.stringify({ pid: 0, host: hostname() })],
])('acquireLock() takes over a lock %s', (_, content) => {
  const path = join(temporaryFolder(), 'run.lock');
  writeFileSync(path, content);
  acquireLock(path).release();
  expect(readdirSync(join(path, '..'))).toEqual([]);
});

test('acquireLock() never takes over a lock of another machine, and says what to do', () => {
  const path = join(temporaryFolder(), 'run.lock');
  writeFileSync(path, JSON.stringify({ pid: deadPid(), host: 'elsewhere', startedAt: null }));
  expect(() => acquireLock(path)).toThrow(
    `of machine "elsewhere" works in it: when that machine no longer runs it, delete "${path}"`,
  );
});

test('acquireLock() counts a live process without a start time as the holder', () => {
  expect(isAlive({ pid: process.pid, host: hostname(), startedAt: null })).toBe(true);
  expect(isAlive({ pid: 1, host: hostname(), startedAt: processStart(1) })).toBe(true);
});

test('acquireLock() at the place of a folder is a FileError', () => {
  const path = temporaryFolder();
  expect(() => acquireLock(path)).toThrow(expect.objectContaining({ name: 'FileError', code: 'FILE_IO' }));
});

test('release() leaves a lock that someone else took meanwhile', () => {
  const path = join(temporaryFolder(), 'run.lock');
  const lock = acquireLock(path);
  writeFileSync(path, 'of another');
  lock.release();
  expect(readFileSync(path, 'utf8')).toBe('of another');
});

test('acquireLock() puts back a live lock that replaced the stale one while it was being cleared', () => {
  const path = join(temporaryFolder(), 'run.lock');
  writeFileSync(path, 'stale');
  const live = JSON.stringify(thisProcess());
  const renameSync: typeof nodeFs.renameSync = (from, to) => {
    writeFileSync(path, live);
    nodeFs.renameSync(from, to);
  };
  expect(() => acquireLock(path, { fs: { ...nodeFs, renameSync } })).toThrow(
    expect.objectContaining({ code: 'RUN_LOCKED' }),
  );
  expect(readFileSync(path, 'utf8')).toBe(live);
});

test('acquireLock() goes on when another process cleared the stale lock first', () => {
  const path = join(temporaryFolder(), 'run.lock');
  writeFileSync(path, 'stale');
  const renameSync: typeof nodeFs.renameSync = (from, to) => {
    nodeFs.rmSync(path, { force: true });
    nodeFs.renameSync(from, to);
  };
  acquireLock(path, { fs: { ...nodeFs, renameSync } }).release();
});

test('acquireLock() gives up after ten turns of locks that come and go', () => {
  const path = join(temporaryFolder(), 'run.lock');
  const linkSync = () => {
    throw systemError('EEXIST', 'link');
  };
  expect(() => acquireLock(path, { fs: { ...nodeFs, linkSync } })).toThrow('taking it at the same time: try again');
});

test('acquireLock() whose N-th call fails leaves no lock behind that blocks the next, for all N', () => {
  const folder = temporaryFolder();
  const path = join(folder, 'run.lock');
  let failures = 0;
  for (let call = 1; ; call++) {
    writeFileSync(path, 'stale');
    try {
      acquireLock(path, { fs: failingFs({ call, after: 'once' }).fs }).release();
      break;
    } catch (error) {
      expect(error).toMatchObject({ code: 'FILE_IO' });
      failures++;
      // Our own process would count as the holder: what must not remain is a lock that nobody can release.
      nodeFs.rmSync(path, { force: true });
    }
    acquireLock(path).release();
  }
  expect(failures).toBeGreaterThan(3);
});

test('a lock is given back when its process exits without releasing it', () => {
  const path = join(temporaryFolder(), 'run.lock');
  const code = `import { acquireLock } from ${JSON.stringify(new URL('./lock.ts', import.meta.url).href)}; acquireLock(${JSON.stringify(path)});`;
  const child = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    encoding: 'utf8',
  });
  expect(child.stderr).toBe('');
  expect(child.status).toBe(0);
  expect(existsSync(path)).toBe(false);
});

test('processStart() is the same for a process each time and null for one that is not there', () => {
  expect(processStart(process.pid)).toBe(processStart(process.pid));
  expect(processStart(2 ** 22 + 1)).toBeNull();
});
