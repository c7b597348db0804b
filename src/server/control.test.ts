import { spawn } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { acquireLock } from '../files/lock.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { readRunCommand, writeRunCommand } from '../store/run-command.ts';
import { goOnWithRun, stopRun } from './control.ts';
import { serveStudio } from './listen.ts';
import { writeStudioRun } from './studio-run.testing.ts';
import { invitationOf } from './token.ts';

const token = 'a-token-for-tests-only';

/** A run whose command is known, and a program that stands for selm. */
function startedRun(program: string): { folder: string; run: string; program: string } {
  const folder = temporaryFolder();
  const run = writeStudioRun(join(folder, 'mine'));
  writeRunCommand(run, { words: ['train', 'my recipe.yaml', '--set', 'a=1'], directory: folder });
  writeFileSync(join(folder, 'selm.mjs'), program);
  return { folder, run, program: join(folder, 'selm.mjs') };
}

test('stopping is the signal that Ctrl-C is, to the process that holds the run', async () => {
  const { run } = startedRun('');
  expect(() => stopRun(run)).toThrow(expect.objectContaining({ code: 'STUDIO_NOT_RUNNING' }));
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)']);
  const ended = new Promise((resolve) => child.on('exit', (_, signal) => resolve(signal)));
  const holder = { pid: child.pid ?? 0, host: hostname(), startedAt: null };
  const lock = acquireLock(join(run, 'run.lock'), { holder });
  onTestFinished(() => lock.release());
  await expect(goOnWithRun(run)).rejects.toMatchObject({ code: 'STUDIO_RUNNING' });
  stopRun(run);
  expect(await ended).toBe('SIGTERM');
});

test('a run of another machine is not signalled here', () => {
  const { run } = startedRun('');
  const lock = acquireLock(join(run, 'run.lock'), { holder: { pid: 1, host: 'elsewhere', startedAt: null } });
  onTestFinished(() => lock.release());
  expect(() => stopRun(run)).toThrow(expect.objectContaining({ code: 'STUDIO_OTHER_MACHINE' }));
});

test('going on starts the very command where it was started, without the studio’s token', async () => {
  process.env.SELM_STUDIO_TOKEN = token;
  onTestFinished(() => {
    delete process.env.SELM_STUDIO_TOKEN;
  });
  const { run, folder, program } = startedRun(
    `import { writeFileSync } from 'node:fs';
     writeFileSync('started.json', JSON.stringify([process.argv.slice(2), process.env.SELM_STUDIO_TOKEN ?? null]));`,
  );
  await goOnWithRun(run, { program });
  const started = JSON.parse(readFileSync(join(folder, 'started.json'), 'utf8')) as unknown;
  expect(started).toEqual([['train', 'my recipe.yaml', '--set', 'a=1'], null]);
});

test('a command that ends at once is said with its last words', async () => {
  const { run, program } = startedRun(`console.error('Cannot read "my recipe.yaml"'); process.exit(2);`);
  await expect(goOnWithRun(run, { program })).rejects.toMatchObject({
    code: 'STUDIO_GO_ON',
    message: expect.stringContaining('Cannot read "my recipe.yaml"'),
  });
});

test('the command of a copied run, or another word than train and sft, is nobody’s', async () => {
  const { run, folder } = startedRun('');
  cpSync(run, join(folder, 'copy'), { recursive: true });
  expect(readRunCommand(join(folder, 'copy'))).toBeNull();
  await expect(goOnWithRun(join(folder, 'copy'))).rejects.toMatchObject({ code: 'STUDIO_NO_COMMAND' });
  const other = writeStudioRun(join(folder, 'other'));
  writeRunCommand(other, { words: ['rm', '-r'], directory: folder });
  expect(existsSync(join(other, 'command.json'))).toBe(false);
});

test('only an admin may, only from the studio’s own pages; the summary says what may be asked', async () => {
  const { folder, run } = startedRun('');
  const studio = await serveStudio({ folders: [folder], port: 0, token, assets: new Map() });
  onTestFinished(() => studio.close());
  const post = async (body: unknown, headers: Record<string, string> = {}): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${studio.port}/api/runs/mine/control`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    return ((await response.json()) as { code: string }).code;
  };
  expect(await post({ action: 'stop' })).toBe('STUDIO_NOT_RUNNING');
  expect(await post({ action: 'delete' })).toBe('QUERY_INVALID');
  expect(await post({ action: 'stop' }, { origin: 'http://evil.example' })).toBe('ORIGIN_FOREIGN');
  expect(await post({ action: 'stop' }, { 'content-type': 'text/plain' })).toBe('BODY_TYPE');
  for (const right of ['label', 'review'] as const) {
    const authorization = `Bearer ${invitationOf({ name: 'ada', right }, token)}`;
    expect(await post({ action: 'stop' }, { authorization })).toBe('RIGHT_MISSING');
  }
  const summary = async (): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${studio.port}/api/runs`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return ((await response.json()) as { runs: { control: unknown }[] }).runs[0]?.control;
  };
  expect(await summary()).toBeNull(); // it is finished
  const lock = acquireLock(join(run, 'run.lock'));
  await new Promise((resolve) => setTimeout(resolve, 1100)); // a look is good for a second
  expect(await summary()).toBe('stop');
  lock.release();
});
