import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { completionScript } from './completion.ts';
import { wholeProgram } from './program.ts';

/** What bash offers behind these words; the last one is being typed. */
async function offered(...words: string[]): Promise<string[]> {
  const script = `${completionScript(await wholeProgram(), 'bash')}
COMP_WORDS=(${['selm', ...words].map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _selm; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--noprofile', '--norc', '-c', script], { encoding: 'utf8', cwd: '/' });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((line) => line !== '');
}

describe('completion in bash', () => {
  it('offers commands', async () => {
    expect(await offered('tr')).toEqual(['train']);
    expect(await offered('')).toEqual(expect.arrayContaining(['init', 'runs', 'clean', 'completion']));
  });

  it('offers the commands and options below a command', async () => {
    expect(await offered('data', 'con')).toEqual(['convert']);
    expect(await offered('data', 'convert', '--fo')).toEqual(['--form']);
    expect(await offered('clean', 'runs/x', '--y')).toEqual(['--yes']);
  });

  it('offers files where nothing else fits', async () => {
    expect(await offered('train', 'us')).toContain('usr');
  });
});

it('fish gets every command with its description', async () => {
  const program = await wholeProgram();
  const script = completionScript(program, 'fish');
  for (const command of program.commands) expect(script).toContain(`-a ${command.name()} -d '`);
});
