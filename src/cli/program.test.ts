import { describe, expect, it } from 'vitest';
import { programFor, wholeProgram } from './program.ts';

describe('the program for some words', () => {
  const namesFor = async (...words: string[]) => (await programFor(words)).commands.map((command) => command.name());

  it('has their command alone', async () => expect(await namesFor('runs', '--json')).toEqual(['runs']));

  it('has every command where they name none, or none that exists', async () => {
    const all = (await wholeProgram()).commands.map((command) => command.name());
    expect(await namesFor()).toEqual(all);
    expect(await namesFor('trian')).toEqual(all);
    expect(await namesFor('toString')).toEqual(all);
  });
});
