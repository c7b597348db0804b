import { expect, test } from 'vitest';
import { coloursOf } from './colour.ts';

test.each([
  ['a terminal has it', true, {}, true],
  ['a pipe has none', false, {}, false],
  ['NO_COLOR turns it off, also against FORCE_COLOR', true, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
  ['FORCE_COLOR turns it on', false, { FORCE_COLOR: '1', CI: '1' }, true],
  ['FORCE_COLOR=0 turns it off', true, { FORCE_COLOR: '0' }, false],
  ['CI is plain', true, { CI: 'true' }, false],
  ['a dumb terminal has none', true, { TERM: 'dumb' }, false],
])('colour: %s', (_, isTTY, environment, coloured) => {
  expect(coloursOf({ isTTY }, environment).warning('x')).toBe(coloured ? '\u001b[33mx\u001b[39m' : 'x');
});
