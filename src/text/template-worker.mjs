/**
 * @file The thread in which chat templates are interpreted (called by template.ts), within the limits of
 * template-limits.mjs. Plain JavaScript, because a worker starts without a TypeScript loader.
 */
import { workerData } from 'node:worker_threads';
import { Environment, parse, tokenize } from '@huggingface/jinja';
import { boundedInterpreters, LimitError } from './template-limits.mjs';

const { port, answers, limits } = workerData;
const interpreterFor = boundedInterpreters(limits);

class RaisedError extends Error {
  name = 'RaisedError';
}

/** Python's range, with the cap that Jinja2's own sandbox has. */
function range(start, stop, step = 1) {
  const [from, to] = stop === undefined || stop === null ? [0, start] : [start, stop];
  if (step === 0) throw new Error('range() step must not be zero');
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (!(length <= limits.range)) throw new LimitError(`range() of more than ${limits.range} items`);
  return Array.from({ length }, (_, index) => from + index * step);
}

function checkSource(tokens) {
  let depth = 0;
  for (const { type } of tokens) {
    if (type === 'OpenParen' || type === 'OpenSquareBracket' || type === 'OpenCurlyBracket') depth += 1;
    else if (type === 'CloseParen' || type === 'CloseSquareBracket' || type === 'CloseCurlyBracket') depth -= 1;
    if (depth > limits.nesting) throw new LimitError(`brackets nested deeper than ${limits.nesting}`);
  }
}

const programs = new Map();
function compile(template) {
  const known = programs.get(template);
  if (known !== undefined) return known;
  const tokens = tokenize(template, { lstrip_blocks: true, trim_blocks: true });
  checkSource(tokens);
  const program = parse(tokens);
  if (programs.size >= 16) programs.clear();
  programs.set(template, program);
  return program;
}

function render({ template, variables }) {
  const program = compile(template);
  const environment = new Environment();
  for (const [name, value] of Object.entries({
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
  })) {
    environment.set(name, value);
  }
  environment.set('raise_exception', (message) => {
    throw new RaisedError(String(message));
  });
  environment.set('range', range);
  // No strftime_now: a prompt must not change with the day on which it is rendered (templates ask whether it is defined).
  for (const [name, value] of Object.entries(variables)) environment.set(name, value);
  const text = interpreterFor(environment).run(program).value;
  if (text.length > limits.output) throw new LimitError(`an output of more than ${limits.output} characters`);
  return text;
}

port.on('message', (message) => {
  try {
    port.postMessage({ kind: 'value', value: render(message) });
  } catch (error) {
    // The engine's own limits: the stack ("Maximum call stack size exceeded") or a text ("Invalid string length").
    const isEngineLimit = error instanceof RangeError;
    port.postMessage({
      kind: 'error',
      name: isEngineLimit ? 'LimitError' : error.name,
      message: isEngineLimit ? `something too deep or too long (${error.message})` : String(error.message),
    });
  }
  Atomics.add(answers, 0, 1);
  Atomics.notify(answers, 0);
});
Atomics.add(answers, 0, 1);
Atomics.notify(answers, 0);
