import { Command } from 'commander';
import { expect, test } from 'vitest';
import { columnsArguments, columnsOption } from './columns.ts';

function parsed(...args: string[]): unknown {
  const command = new Command()
    .addOption(columnsOption())
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  return command.parse(args, { from: 'user' }).opts().columns;
}

test('--columns reads what columnsArguments() writes', () => {
  const columns = { prompt: 'question', chosen: 'good answer' };
  expect(columnsArguments(columns)).toEqual(['--columns', 'prompt=question,chosen=good answer']);
  expect(parsed(...columnsArguments(columns))).toEqual(columns);
  expect(parsed()).toEqual({});
});

test.each(['question', 'answer=x', 'prompt=', 'prompt=a=b'])(
  '--columns %s is refused with the names there are',
  (text) => {
    expect(() => parsed('--columns', text)).toThrow(
      /one of prompt, chosen, rejected, messages, completion, label, promptId/,
    );
  },
);
