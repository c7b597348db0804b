/**
 * @file An interpreter of `@huggingface/jinja` that cannot run away (used by template-worker.mjs). The library has no limits
 * of its own; a thread that is too slow is ended from outside, but one large allocation ends the whole process even from a
 * thread, and a native search that takes seconds cannot be ended at all. So every value is weighed before it can be
 * multiplied, the heap is watched, and no single step here allocates more than a few tens of megabytes or searches long.
 */
import { getHeapStatistics } from 'node:v8';
import { Environment, Interpreter } from '@huggingface/jinja';

export class LimitError extends Error {
  name = 'LimitError';
}

/** Evaluations between two looks at the heap; each can keep at most `WATCHED_SIZE` characters unseen. */
const WATCH_EVERY = 256;
const WATCHED_SIZE = 65_536;
/** Characters of a text times those of a pattern up to which a native search is used: below 50 ms at its worst. */
const NATIVE_SEARCH = 2 ** 25;
/** Characters up to which a pattern may become a regular expression, which `replace` makes of it. */
const LITERAL = 1000;
/** Characters of a replaced text up to which its size is bounded without counting the matches. */
const SMALL_TEXT = 2 ** 20;

/** The library's value classes are not exported: found by what it makes of a value. */
const sample = new Environment();
const StringValue = sample.set('string', '').constructor;
const BooleanValue = sample.set('boolean', true).constructor;
const ArrayValue = sample.set('array', []).constructor;

/** Makes interpreters that respect `limits` (template.ts has the numbers and their reasons). To be called once a thread. */
export function boundedInterpreters(limits) {
  const checkWeight = (size) => {
    if (size <= limits.valueSize) return;
    throw new LimitError(`a value of more than ${limits.valueSize} characters and items`);
  };
  boundTextMethods(checkWeight);
  return (environment) => boundedInterpreter(environment, { limits, checkWeight });
}

function boundedInterpreter(environment, { limits, checkWeight }) {
  /**
   * Characters and items of a value written out in full, shared parts counted each time they appear; how many of them
   * are items; and its depth. Containers never change once made (namespaces do, and may not be put inside anything), so
   * the answer is kept.
   */
  const weights = new WeakMap();
  const weigh = (value) => {
    if (value === undefined || value === null) return { size: 1, items: 1, depth: 0 };
    if (typeof value.value === 'string') return { size: value.value.length + 1, items: 1, depth: 0 };
    const isMap = value.value instanceof Map;
    const children = Array.isArray(value.value) ? value.value : isMap ? value.value.values() : null;
    if (children === null) return { size: 1, items: 1, depth: 0 };
    const isNamespace = value.type === 'NamespaceValue';
    const known = isNamespace ? undefined : weights.get(value);
    if (known !== undefined) return known;
    let [size, items, depth] = [1, 1, 0];
    for (const child of children) {
      if (child?.type === 'NamespaceValue') throw new LimitError('a namespace inside another value');
      const inner = weigh(child);
      size += inner.size;
      items += inner.items;
      depth = Math.max(depth, inner.depth + 1);
      checkWeight(size);
      if (depth > limits.valueDepth) throw new LimitError(`values nested deeper than ${limits.valueDepth}`);
    }
    if (isMap) for (const key of value.value.keys()) size += String(key).length;
    checkWeight(size);
    const weight = { size, items, depth };
    if (!isNamespace) weights.set(value, weight);
    return weight;
  };

  // The growth of this rendering: what earlier ones left is garbage that may not have been collected yet.
  const heapBytes = () => getHeapStatistics().used_heap_size;
  const startBytes = heapBytes();
  let evaluations = 0;
  const watchHeap = (size) => {
    evaluations += 1;
    if (size < WATCHED_SIZE && evaluations % WATCH_EVERY !== 0) return;
    if (heapBytes() - startBytes > limits.heapBytes) {
      throw new LimitError(`values of more than ${limits.heapBytes / 2 ** 20} MB of memory together`);
    }
  };

  const checkValue = (value) => {
    const length = value?.value?.length;
    if (typeof value?.value === 'string' && length > limits.output) {
      throw new LimitError(`a text of more than ${limits.output} characters`);
    }
    if (Array.isArray(value?.value) && length > limits.range) {
      throw new LimitError(`a list of more than ${limits.range} items`);
    }
    watchHeap(weigh(value).size);
    return value;
  };

  /** What a filter would write, from above, before it does. */
  const checkFilter = (name, operand, { positional, named }) => {
    const { size, items, depth } = weigh(operand);
    const given = [...positional, ...named.values()];
    const longest = Math.max(0, ...given.map((value) => weigh(value).size));
    const widest = Math.max(0, ...given.map(({ value }) => (typeof value === 'number' ? value : 0)));
    if (widest > limits.indent && name !== 'join') throw new LimitError(`an indent over ${limits.indent}`);
    if (name === 'join') checkWeight(size + (operand?.value?.length ?? 0) * longest);
    if (name === 'tojson') checkWeight(size + items * ((depth + 1) * widest + longest));
    if (name === 'indent') checkWeight(size + (size > 1 ? countOf(String(operand.value), '\n') + 1 : 1) * widest);
  };

  const interpreter = new Interpreter(environment);
  const evaluate = interpreter.evaluate.bind(interpreter);
  const evaluateBinaryExpression = interpreter.evaluateBinaryExpression.bind(interpreter);
  const applyFilter = interpreter.applyFilter.bind(interpreter);
  const evaluated = (value) => ({ type: 'Evaluated', value });
  let depth = 0;

  // All recursion goes through here.
  interpreter.evaluate = (statement, scope) => {
    if (statement?.type === 'Evaluated') return statement.value;
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

  interpreter.evaluateBinaryExpression = (node, scope) => {
    const operator = node.operator.value;
    if (operator !== 'in' && operator !== 'not in') return evaluateBinaryExpression(node, scope);
    const [left, right] = [interpreter.evaluate(node.left, scope), interpreter.evaluate(node.right, scope)];
    if (left instanceof StringValue && right instanceof StringValue && isLongSearch(right.value, left.value)) {
      return new BooleanValue(includes(right.value, left.value) === (operator === 'in'));
    }
    return evaluateBinaryExpression({ ...node, left: evaluated(left), right: evaluated(right) }, scope);
  };

  interpreter.applyFilter = (operand, node, scope) => {
    checkValue(operand);
    const name = node.type === 'CallExpression' ? node.callee.value : null;
    if (name !== 'join' && name !== 'indent' && name !== 'tojson') return checkValue(applyFilter(operand, node, scope));
    const [positional, named] = interpreter.evaluateArguments(node.args, scope);
    checkFilter(name, operand, { positional, named });
    // Evaluated once: twice at each level would double with every filter inside a filter's arguments.
    const args = [
      ...positional.map(evaluated),
      ...[...named].map(([key, value]) => ({
        type: 'KeywordArgumentExpression',
        key: { value: key },
        value: evaluated(value),
      })),
    ];
    return checkValue(applyFilter(operand, { ...node, args }, scope));
  };

  return interpreter;
}

/** `replace` can multiply two texts and `split` searches: both of a text's methods are bounded before they run. */
function boundTextMethods(checkWeight) {
  const { get: builtinsOf } = Object.getOwnPropertyDescriptor(StringValue.prototype, 'builtins');
  const bounded = new WeakSet();
  const limitOf = (count) => (typeof count === 'number' && count >= 0 ? count : Infinity);
  function replaceLong(text, args) {
    const [from, to, times] = args.map((arg) => arg?.value);
    if (typeof from !== 'string' || typeof to !== 'string') return null;
    if (to.length > from.length) {
      // Every place where a match may begin, or the exact count where the product is large.
      const most = from === '' ? text.length + 1 : Math.floor(text.length / from.length);
      const count = from === '' || most * to.length <= SMALL_TEXT ? most : countOf(text, from);
      checkWeight(text.length + count * to.length);
    }
    if (!isLongSearch(text, from) && from.length <= LITERAL) return null;
    const count = limitOf(times instanceof Map ? times.get('count')?.value : times);
    return new StringValue(splitLong(text, from, count).join(to));
  }
  function splitLongText(text, args) {
    const [separator, most] = args.map((arg) => arg?.value);
    if (typeof separator !== 'string' || !isLongSearch(text, separator)) return null;
    return new ArrayValue(splitLong(text, separator, limitOf(most)).map((part) => new StringValue(part)));
  }
  Object.defineProperty(StringValue.prototype, 'builtins', {
    configurable: true,
    get() {
      const builtins = builtinsOf.call(this);
      if (bounded.has(builtins)) return builtins;
      bounded.add(builtins);
      const wrap = (name, run) => {
        const original = builtins.get(name);
        const call = (args, scope) => run(this.value, args) ?? original.value(args, scope);
        builtins.set(name, new original.constructor(call));
      };
      wrap('replace', replaceLong);
      wrap('split', splitLongText);
      return builtins;
    },
  });
}

/** Native searches take the product of both lengths at their worst, and cannot be stopped. */
function isLongSearch(text, pattern) {
  return pattern.length > 1 && pattern.length <= text.length && text.length * pattern.length > NATIVE_SEARCH;
}

function includes(text, pattern) {
  return occurrences(text, pattern, 1).length > 0;
}

function countOf(text, pattern) {
  return isLongSearch(text, pattern) ? occurrences(text, pattern, Infinity).length : text.split(pattern).length - 1;
}

function splitLong(text, pattern, most) {
  const places = occurrences(text, pattern, most);
  const starts = [0, ...places.map((at) => at + pattern.length)];
  return starts.map((start, i) => text.slice(start, places[i]));
}

/** Where a pattern begins, up to `most` times, matches not overlapping: Knuth, Morris and Pratt, linear in both lengths. */
function occurrences(text, pattern, most) {
  const fallback = new Int32Array(pattern.length);
  const places = [];
  for (let i = 1, length = 0; i < pattern.length; i++) {
    const letter = pattern.charCodeAt(i);
    while (length > 0 && letter !== pattern.charCodeAt(length)) length = fallback[length - 1];
    if (letter === pattern.charCodeAt(length)) length += 1;
    fallback[i] = length;
  }
  for (let i = 0, length = 0; i < text.length && places.length < most; i++) {
    const letter = text.charCodeAt(i);
    while (length > 0 && letter !== pattern.charCodeAt(length)) length = fallback[length - 1];
    if (letter === pattern.charCodeAt(length)) length += 1;
    if (length < pattern.length) continue;
    places.push(i + 1 - length);
    length = 0;
  }
  return places;
}
