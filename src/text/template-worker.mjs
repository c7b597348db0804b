/**
 * @file The thread in which chat templates are interpreted (called by template.ts). `@huggingface/jinja` has no limits
 * of its own, and one large allocation ends the whole process even from a thread, so every value is weighed before it
 * can be multiplied: a thread that is too slow is ended from outside, and no single step here can allocate more than
 * a few tens of megabytes. Plain JavaScript, because a worker starts without a TypeScript loader.
 */
import { workerData } from 'node:worker_threads';
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';

const { port, answers, limits } = workerData;

class LimitError extends Error {
  name = 'LimitError';
}
class RaisedError extends Error {
  name = 'RaisedError';
}

/**
 * Characters and items of a value written out in full, shared parts counted each time they appear, and its depth.
 * Containers never change once made (namespaces do, and may not be put inside anything), so the answer is kept.
 */
const weights = new WeakMap();
function weigh(value) {
  if (value === undefined || value === null) return { size: 1, depth: 0 };
  if (typeof value.value === 'string') return { size: value.value.length + 1, depth: 0 };
  const children = Array.isArray(value.value) ? value.value : value.value instanceof Map ? value.value.values() : null;
  if (children === null) return { size: 1, depth: 0 };
  const isNamespace = value.type === 'NamespaceValue';
  const known = isNamespace ? undefined : weights.get(value);
  if (known !== undefined) return known;
  let size = 1;
  let depth = 0;
  for (const child of children) {
    if (child?.type === 'NamespaceValue') throw new LimitError('a namespace inside another value');
    const inner = weigh(child);
    size += inner.size;
    depth = Math.max(depth, inner.depth + 1);
    checkWeight(size, depth);
  }
  if (value.value instanceof Map) for (const key of value.value.keys()) size += String(key).length;
  checkWeight(size, depth);
  const weight = { size, depth };
  if (!isNamespace) weights.set(value, weight);
  return weight;
}

function checkWeight(size, depth) {
  if (size > limits.valueSize) throw new LimitError(`a value of more than ${limits.valueSize} characters and items`);
  if (depth > limits.valueDepth) throw new LimitError(`values nested deeper than ${limits.valueDepth}`);
}

function checkValue(value) {
  if (typeof value?.value === 'string') {
    if (value.value.length > limits.output) throw new LimitError(`a text of more than ${limits.output} characters`);
  } else if (Array.isArray(value?.value) && value.value.length > limits.range) {
    throw new LimitError(`a list of more than ${limits.range} items`);
  } else {
    weigh(value);
  }
  return value;
}

/** Python's range, with the cap that Jinja2's own sandbox has. */
function range(start, stop, step = 1) {
  const [from, to] = stop === undefined || stop === null ? [0, start] : [start, stop];
  if (step === 0) throw new Error('range() step must not be zero');
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (!(length <= limits.range)) throw new LimitError(`range() of more than ${limits.range} items`);
  return Array.from({ length }, (_, index) => from + index * step);
}

/** The interpreter's own methods, wrapped: all recursion goes through evaluate, all filters through applyFilter. */
function boundedInterpreter(environment) {
  const interpreter = new Interpreter(environment);
  const evaluate = interpreter.evaluate.bind(interpreter);
  const applyFilter = interpreter.applyFilter.bind(interpreter);
  let depth = 0;
  interpreter.evaluate = (statement, scope) => {
    if (depth >= limits.nesting) throw new LimitError(`nesting or recursion deeper than ${limits.nesting}`);
    depth += 1;
    try {
      const value = checkValue(evaluate(statement, scope));
      if (statement?.type === 'Set' && statement.assignee.type === 'MemberExpression') {
        weigh(evaluate(statement.assignee.object, scope));
      }
      return value;
    } finally {
      depth -= 1;
    }
  };
  interpreter.applyFilter = (operand, node, scope) => {
    checkValue(operand);
    if (node.type === 'CallExpression') {
      const [positional, named] = interpreter.evaluateArguments(node.args, scope);
      const { size } = weigh(operand);
      const values = [...positional, ...named.values()];
      if (node.callee.value === 'join') {
        const separator = Math.max(0, ...values.map((value) => weigh(value).size));
        checkWeight(size * (separator + 1), 0);
      } else if (node.callee.value === 'indent' || node.callee.value === 'tojson') {
        for (const { value } of values) {
          if (typeof value === 'number' && value > limits.indent)
            throw new LimitError(`an indent over ${limits.indent}`);
          if (typeof value === 'string') checkWeight(size * (value.length + 1), 0);
        }
      }
    }
    return checkValue(applyFilter(operand, node, scope));
  };
  return interpreter;
}

/** `replace` can multiply two texts: bound the product before it is made. Both the method and the filter end here. */
function boundReplace() {
  const sample = new Environment().set('sample', '');
  const prototype = Object.getPrototypeOf(sample);
  const { get } = Object.getOwnPropertyDescriptor(prototype, 'builtins');
  const bounded = new WeakSet();
  Object.defineProperty(prototype, 'builtins', {
    configurable: true,
    get() {
      const builtins = get.call(this);
      if (bounded.has(builtins)) return builtins;
      bounded.add(builtins);
      const replace = builtins.get('replace');
      const text = this.value;
      const run = (args, scope) => {
        const [from, to] = args.map((arg) => arg?.value);
        if (typeof from === 'string' && typeof to === 'string' && to.length > from.length) {
          // Every place where a match may begin, or the exact count where the product is large.
          const most = from === '' ? text.length + 1 : Math.floor(text.length / from.length);
          const count = most * to.length <= limits.valueSize || from === '' ? most : text.split(from).length - 1;
          checkWeight(text.length + count * to.length, 0);
        }
        return replace.value(args, scope);
      };
      builtins.set('replace', new replace.constructor(run));
      return builtins;
    },
  });
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
  const text = boundedInterpreter(environment).run(program).value;
  if (text.length > limits.output) throw new LimitError(`an output of more than ${limits.output} characters`);
  return text;
}

boundReplace();
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
