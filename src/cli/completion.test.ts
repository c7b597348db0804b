import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { completionScript } from './completion.ts';
import { createProgram } from './program.ts';

/** What bash offers behind these words; the last one is being typed. */
function offered(...words: string[]): string[] {
  const script = `${completionScript(createProgram(), 'bash')}
COMP_WORDS=(${['selm', ...words].map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _selm; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--noprofile', '--norc', '-c', script], { encoding: 'utf8', cwd: '/' });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((line) => line !== '');
}

describe('completion in bash', () => {
  it('offers commands', () => {
    expect(offered('tr')).toEqual(['train']);
    expect(offered('')).toEqual(expect.arrayContaining(['init', 'runs', 'clean', 'completion']));
  });

  it('offers the commands and options below a command', () => {
    expect(offered('data', 'con')).toEqual(['convert']);
    expect(offered('data', 'convert', '--fo')).toEqual(['--form']);
    expect(offered('clean', 'runs/x', '--y')).toEqual(['--yes']);
  });

  it('offers files where nothing else fits', () => {
    expect(offered('train', 'us')).toContain('usr');
  });
});

it('fish gets every command with its description', () => {
  const script = completionScript(createProgram(), 'fish');
  for (const command of createProgram().commands) expect(script).toContain(`-a ${command.name()} -d '`);
});
