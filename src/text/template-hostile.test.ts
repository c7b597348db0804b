/**
 * @file Templates made to hurt: each ends soon, with a typed error or with a harmless text, and never takes the process or
 * the next rendering with it. The promise is 200 ms of processor time with the thread warm; the wall clock of a shared
 * machine shows more.
 */
import { describe, expect, it } from 'vitest';
import { renderTemplate } from './template.ts';

const PROMISE_MS = 200;
const messages = [{ role: 'user', content: 'Hi' }];
const render = (template: string): string =>
  renderTemplate(template, messages, { addGenerationPrompt: true, bosToken: '<s>', eosToken: '</s>' });

/** The error's code, or what harmless thing is written instead. */
type End = 'TEMPLATE_BUDGET' | 'TEMPLATE_INVALID' | 'TEMPLATE_REFUSED' | { text: string };
type Case = [name: string, template: string, end: End];

const BUDGET = 'TEMPLATE_BUDGET';
const INVALID = 'TEMPLATE_INVALID';
const nothing: End = { text: '' };
const repeat = (text: string, times: number): string => text.repeat(times);
/** Sets `name` to 2^doublings letters a. */
const big = (name: string, doublings: number): string =>
  `{% set ns = namespace(x="a") %}{% for i in range(${doublings}) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{% set ${name} = ns.x %}`;
const MILLION = 2 ** 20;

const loops: Case[] = [
  ['a range of a billion', '{% for i in range(1000000000) %}{% endfor %}', BUDGET],
  ['a range just over the limit', '{% for i in range(100001) %}{% endfor %}', BUDGET],
  ['a range from far below', '{% for i in range(-1000000000, 1000000000) %}{% endfor %}', BUDGET],
  ['a range that counts down', '{% for i in range(1000000000, 0, -1) %}{% endfor %}', BUDGET],
  ['a range without end', `{% for i in range(${repeat('9', 400)}) %}{% endfor %}`, BUDGET],
  ['a range of no number', '{% for i in range("x") %}{% endfor %}', INVALID],
  ['a range of step 0', '{% for i in range(0, 10, 0) %}{% endfor %}', INVALID],
  ['two nested loops of 3,000', '{% for i in range(3000) %}{% for j in range(3000) %}{% endfor %}{% endfor %}', BUDGET],
  [
    'two nested loops of the longest range',
    '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}',
    BUDGET,
  ],
  ['ten nested loops of ten', `${repeat('{% for i in range(10) %}', 10)}x${repeat('{% endfor %}', 10)}`, BUDGET],
  ['200 nested loops of two', `${repeat('{% for i in range(2) %}', 200)}${repeat('{% endfor %}', 200)}`, BUDGET],
  [
    'a loop over a condition that never holds',
    '{% for i in range(100000) if i in range(100000, 200000) %}{% endfor %}',
    BUDGET,
  ],
  ['a hundred long loops one after the other', repeat('{% for i in range(100000) %}{% endfor %}', 100), BUDGET],
  [
    'a loop that never reaches its break',
    '{% for i in range(99999) %}{% for j in range(99999) %}{% if j < 0 %}{% break %}{% endif %}{% endfor %}{% endfor %}',
    BUDGET,
  ],
  [
    'a loop that only continues',
    '{% for i in range(99999) %}{% for j in range(99999) %}{% continue %}{% endfor %}{% endfor %}',
    BUDGET,
  ],
  ['a break outside of a loop', '{% break %}', INVALID],
  ['a loop over a number', '{% for i in 5 %}{% endfor %}', INVALID],
  ['a loop over a text', '{% for c in messages[0].content %}{{ c }}{% endfor %}', { text: 'Hi' }],
  ['a loop over a long text', `${big('a', 19)}{% for c in a %}{% endfor %}`, BUDGET],
];

const growth: Case[] = [
  [
    'a text that doubles 60 times',
    '{% set ns = namespace(a="xxxxxxxx") %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}{{ ns.a }}',
    BUDGET,
  ],
  [
    'a text that doubles and is never shown',
    '{% set ns = namespace(a="x") %}{% for i in range(40) %}{% set ns.a = ns.a + ns.a %}{% endfor %}',
    BUDGET,
  ],
  [
    'a list that doubles',
    '{% set ns = namespace(a=[1]) %}{% for i in range(40) %}{% set ns.a = ns.a + ns.a %}{% endfor %}',
    BUDGET,
  ],
  [
    'a list of itself twice, 40 times',
    '{% set ns = namespace(a=[1]) %}{% for i in range(40) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}',
    BUDGET,
  ],
  [
    'a map of itself twice, 40 times',
    '{% set ns = namespace(a={"k": 1}) %}{% for i in range(40) %}{% set ns.a = {"a": ns.a, "b": ns.a} %}{% endfor %}{{ ns.a }}',
    BUDGET,
  ],
  [
    'a list in a list, 400 deep',
    '{% set ns = namespace(a=[]) %}{% for i in range(400) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a }}',
    BUDGET,
  ],
  ['a namespace that holds itself', '{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}', BUDGET],
  ['a namespace in a list in itself', '{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns.me }}', BUDGET],
  [
    'two namespaces that hold each other',
    '{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{{ a }}',
    BUDGET,
  ],
  ['a text times a number', '{{ "x" * 1000000000 }}', BUDGET],
  ['a list times a number', '{{ [1] * 1000000000 }}', BUDGET],
  ['a power beyond all numbers', '{{ 10 ** 1000000 }}', INVALID],
  ['an output of 100,000 long lines', `{% for i in range(100000) %}${repeat('y', 100)}{% endfor %}`, BUDGET],
  [
    'an output of nested loops',
    `{% for i in range(1000) %}{% for j in range(1000) %}${repeat('y', 50)}{% endfor %}{% endfor %}`,
    BUDGET,
  ],
  ['a long text in every turn of a loop', `${big('a', 19)}{% for i in range(100) %}{{ a }}{% endfor %}`, BUDGET],
  [
    'a thousand copies of a text, each kept',
    `${big('a', 20)}${Array.from({ length: 1000 }, (_, i) => `{% set b${i} = a | upper %}`).join('')}`,
    BUDGET,
  ],
  [
    'a thousand ranges, each kept',
    Array.from({ length: 1000 }, (_, i) => `{% set b${i} = range(99999) | list %}`).join(''),
    BUDGET,
  ],
  [
    'a block set that grows',
    `{% set ns = namespace(a="x") %}{% for i in range(60) %}{% set b %}{{ ns.a }}{{ ns.a }}{% endset %}{% set ns.a = b %}{% endfor %}`,
    BUDGET,
  ],
];

const filters: Case[] = [
  ['a join with a long separator', `{{ range(100000) | join("${repeat('x', 1000)}") }}`, BUDGET],
  ['a join of a text with a long separator', `${big('a', 17)}{{ a | join(a) }}`, BUDGET],
  ['a join whose separator has a name', `{{ range(100000) | join(d="${repeat('x', 1000)}") }}`, BUDGET],
  [
    'joins in the arguments of joins',
    `{{ ${repeat('"ab" | join(', 60)}"x"${repeat(')', 60)} }}`,
    { text: `${repeat('a', 60)}x${repeat('b', 60)}` },
  ],
  ['a replace that multiplies', `${big('a', 17)}{{ a | replace("a", "${repeat('b', 1000)}") }}`, BUDGET],
  ['a replace of nothing', `${big('a', 17)}{{ a.replace("", "${repeat('b', 1000)}") }}`, BUDGET],
  [
    'a replace of a text by itself twice, 60 times',
    '{% set ns = namespace(a="ab") %}{% for i in range(60) %}{% set ns.a = ns.a | replace("a", "aa") | replace("b", "bb") %}{% endfor %}',
    BUDGET,
  ],
  ['a replace chain', `{{ "a"${repeat('.replace("a", "aaaaaaaa")', 20)} }}`, BUDGET],
  ['an indent of a million', '{{ "a\\nb" | indent(1000000) }}', BUDGET],
  ['an indent of many empty lines', `${big('a', 20)}{{ a | replace("a", "\\n") | indent(64, true, true) }}`, BUDGET],
  ['an indent below zero', '{{ "a\\nb" | indent(-1) }}', { text: 'a\nb' }],
  [
    'indents of indents',
    `{% set ns = namespace(a="a\\nb") %}{% for i in range(100000) %}{% set ns.a = ns.a | indent(64, true) %}{% endfor %}`,
    BUDGET,
  ],
  [
    'JSON of a list that is shared',
    '{% set ns = namespace(a=[1]) %}{% for i in range(30) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a | tojson }}',
    BUDGET,
  ],
  ['JSON with an indent of a million', '{{ messages | tojson(indent=1000000) }}', BUDGET],
  [
    'JSON of a deep list with an indent',
    `{% set ns = namespace(a=range(50000) | list) %}{% for i in range(60) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a | tojson(indent=64) }}`,
    BUDGET,
  ],
  ['JSON with long separators', `${big('a', 17)}{{ range(50000) | list | tojson(separators=(a, a)) }}`, BUDGET],
  ['JSON of a text of control letters', `${big('a', 20)}{{ a | replace("a", "\\u0001") | tojson }}`, BUDGET],
  ['JSON of a function', '{{ range | tojson }}', INVALID],
  [
    'a sort of the longest range, again and again',
    '{% for i in range(1000) %}{% set x = range(100000) | sort(reverse=true) %}{% endfor %}',
    BUDGET,
  ],
  [
    'a sort by a long path',
    `${big('a', 19)}{% set p = a | replace("a", ".a") %}{% for i in range(1000) %}{% set x = [{"a": 1}, {"a": 2}, {"a": 3}] | sort(attribute=p) %}{% endfor %}`,
    BUDGET,
  ],
  ['a sort of texts and numbers', '{{ [1, "a"] | sort }}', INVALID],
  [
    'a map whose default is long',
    `${big('a', 19)}{{ range(0) }}{{ ([{}] + [{}] + [{}]) | map(attribute="x", default=a) | join }}`,
    BUDGET,
  ],
  [
    'titles of a long text, again and again',
    `${big('a', 19)}{% for i in range(10000) %}{% set x = a.title() %}{% endfor %}`,
    BUDGET,
  ],
  [
    'slices of a long text, again and again',
    `${big('a', 19)}{% for i in range(10000) %}{% set x = a[::-1] %}{% endfor %}`,
    BUDGET,
  ],
  ['a slice with a step of 0', '{{ "abc"[::0] }}', INVALID],
  ['a slice far outside', '{{ "abc"[-1000000000:1000000000] }}', { text: 'abc' }],
  ['a slice with an endless step', `{{ "abc"[0:2:${repeat('9', 400)}] }}`, { text: 'a' }],
  ['a split into a million parts', `${big('a', 20)}{{ a.split("a") | length }}`, BUDGET],
  ['a split of blanks', `${big('a', 20)}{{ a.replace("a", "b ").split() | length }}`, BUDGET],
  ['a split by nothing', '{{ "abc".split("") }}', INVALID],
  ['an unknown filter', '{{ messages | constructor }}', INVALID],
  ['an attribute by a filter', '{{ messages | attr("constructor") }}', nothing],
  ['200 filters in a row', `{{ "a"${repeat(' | upper', 200)} }}`, { text: 'A' }],
  ['20,000 filters in a row', `{{ "a"${repeat(' | upper', 20_000)} }}`, BUDGET],
];

const searches: Case[] = [
  [
    'a search whose pattern nearly matches everywhere',
    `${big('t', 20)}${big('h', 13)}{{ (h ~ "b" ~ h) in t }}`,
    { text: 'False' },
  ],
  ['the same as "not in"', `${big('t', 20)}${big('h', 13)}{{ (h ~ "b" ~ h) not in t }}`, { text: 'True' }],
  ['a search that is found at the end', `${big('t', 19)}${big('h', 13)}{{ (h ~ "b") in (t ~ "b") }}`, { text: 'True' }],
  ['a split by such a pattern', `${big('t', 20)}${big('h', 13)}{{ t.split(h ~ "b" ~ h) | length }}`, { text: '1' }],
  [
    'a split by a long pattern that is there',
    `${big('t', 17)}${big('h', 13)}{{ (t ~ "b" ~ t).split(h ~ "b" ~ h) | length }}`,
    { text: '2' },
  ],
  [
    'a replace of such a pattern',
    `${big('t', 20)}${big('h', 13)}{{ (t | replace(h ~ "b" ~ h, "")) | length }}`,
    { text: String(MILLION) },
  ],
  [
    'a replace of such a pattern by more',
    `${big('t', 19)}${big('h', 13)}{{ (t | replace(h ~ "b" ~ h, t)) | length }}`,
    { text: String(MILLION / 2) },
  ],
  [
    'a replace of a pattern too long to be an expression',
    `${big('h', 18)}{{ (h ~ "b") | replace(h, "c") }}`,
    { text: 'cb' },
  ],
  [
    'such searches again and again',
    `${big('t', 20)}${big('h', 13)}{% for i in range(1000) %}{% if (h ~ "b" ~ h) in t %}x{% endif %}{% endfor %}`,
    BUDGET,
  ],
  [
    'a long list searched again and again',
    '{% set r = range(100000) %}{% for i in range(100000) %}{% if -1 in r %}x{% endif %}{% endfor %}',
    BUDGET,
  ],
  ['blanks before a tag', `${repeat(' ', 200_000)}x{% generation %}`, INVALID],
  ['blanks on every line', `${repeat('\n\t ', 60_000)}`, { text: repeat('\n\t ', 60_000) }],
  ['blanks on every line before a tag', `${repeat('\n\t ', 60_000)}{%- if true %}{% endif %}`, nothing],
];

const recursion: Case[] = [
  ['a macro that calls itself', '{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}', BUDGET],
  [
    'two macros that call each other',
    '{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}',
    BUDGET,
  ],
  [
    'a macro that calls itself twice, 60 deep',
    '{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}',
    BUDGET,
  ],
  ['a macro whose default calls it', '{% macro f(x=f()) %}{{ x }}{% endmacro %}{{ f() }}', BUDGET],
  [
    'a macro that calls its caller',
    '{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}',
    BUDGET,
  ],
  [
    'a caller that calls itself',
    '{% macro f() %}{{ caller() }}{% endmacro %}{% call f() %}{{ caller() }}{% endcall %}',
    INVALID,
  ],
  [
    'a macro that writes itself',
    '{% macro f() %}{% macro g() %}{{ f() }}{% endmacro %}{{ g() }}{% endmacro %}{{ f() }}',
    BUDGET,
  ],
  [
    'arguments unpacked a thousand times',
    `{% set r = range(100000) %}{% macro f() %}{{ varargs | length }}{% endmacro %}{{ f(${repeat('*r, ', 1000)}1) }}`,
    INVALID,
  ],
  [
    'a list unpacked as arguments',
    '{% set r = range(1000) %}{% macro f() %}{{ varargs | length }}{% endmacro %}{{ f(*r) }}',
    { text: '1000' },
  ],
  ['20,000 parentheses', `{{ ${repeat('(', 20_000)}1${repeat(')', 20_000)} }}`, BUDGET],
  ['20,000 brackets', `{{ ${repeat('[', 20_000)}${repeat(']', 20_000)} }}`, BUDGET],
  ['20,000 braces that do not close', `{{ ${repeat('{"a":', 20_000)}`, BUDGET],
  ['20,000 nots', `{{ ${repeat('not ', 20_000)}1 }}`, BUDGET],
  ['20,000 minus signs', `{{ ${repeat('- ', 20_000)}1 }}`, BUDGET],
  ['5,000 nested ifs', `${repeat('{% if true %}', 5000)}${repeat('{% endif %}', 5000)}`, BUDGET],
  ['5,000 elifs', `{% if false %}${repeat('{% elif false %}', 5000)}{% endif %}`, nothing],
  ['5,000 elses of ternaries', `{{ ${repeat('1 if false else ', 5000)}2 }}`, BUDGET],
  ['a sum of 50,000 terms', `{{ 1${repeat('+1', 50_000)} }}`, BUDGET],
  ['a path of 50,000 members', `{{ messages${repeat('.a', 50_000)} }}`, BUDGET],
  ['a power of a power, 5,000 times', `{{ ${repeat('1 ** ', 5000)}1 }}`, BUDGET],
  ['5,000 sets in each other', `${repeat('{% set a %}', 5000)}${repeat('{% endset %}', 5000)}`, BUDGET],
  [
    '5,000 filter blocks in each other',
    `${repeat('{% filter upper %}', 5000)}${repeat('{% endfilter %}', 5000)}`,
    BUDGET,
  ],
  ['2,000 macros in each other', `${repeat('{% macro f() %}', 2000)}${repeat('{% endmacro %}', 2000)}`, BUDGET],
];

const sources: Case[] = [
  ['300,000 characters', repeat('x', 300_000), BUDGET],
  ['a comment of 300,000 characters', `{# ${repeat('x', 300_000)} #}`, BUDGET],
  ['a comment that does not end', `{# ${repeat('x', 200_000)}`, INVALID],
  ['a text that does not end', `{{ "${repeat('x', 200_000)}`, INVALID],
  ['a number of 200,000 digits', `{{ ${repeat('9', 200_000)} }}`, INVALID],
  ['a name of 200,000 letters', `{{ ${repeat('x', 200_000)} }}`, nothing],
  ['a list of 100,000 numbers', `{{ [${repeat('1,', 100_000)}1] | length }}`, BUDGET],
  ['a statement that there is not', '{% import "os" as os %}', INVALID],
  ['an include', '{% include "/etc/passwd" %}', INVALID],
  ['an extends', '{% extends "/etc/passwd" %}', INVALID],
  ['an end without a beginning', '{% endfor %}', INVALID],
  ['a beginning without an end', '{% for i in range(3) %}', INVALID],
  ['a broken escape', '{{ "\\u12" }}', INVALID],
  ['a letter that there is not', '{{ ` }}', INVALID],
];

const escapes: Case[] = [
  ['the constructor of a text', '{{ "".constructor }}', nothing],
  ['the constructor of a list', '{{ messages.constructor }}', nothing],
  ['the constructor of a constructor', '{{ messages["constructor"]["constructor"] }}', INVALID],
  ['a call of a constructor', '{{ messages.constructor.constructor("return process")() }}', INVALID],
  ['the prototype of a map', '{{ messages[0].__proto__ }}', nothing],
  ['the prototype set in a namespace', '{% set ns = namespace() %}{% set ns.__proto__ = 1 %}{{ {}.x }}', INVALID],
  ['a map with a prototype key', '{{ {"__proto__": {"polluted": true}}.polluted }}', nothing],
  ['the class of a text, as in Python', '{{ "".__class__.__mro__ }}', INVALID],
  ['the globals of a macro, as in Python', '{% macro f() %}{% endmacro %}{{ f.__globals__ }}', nothing],
  ['the subclasses of a class, as in Python', '{{ ().__class__.__base__.__subclasses__() }}', INVALID],
  ['the process', '{{ process }}', nothing],
  ['the process by its global', '{{ globalThis.process.exit(1) }}', INVALID],
  ['a require', '{{ require("fs") }}', INVALID],
  ['an import', '{{ import("fs") }}', INVALID],
  ['a set of a message', '{% set messages[0].content = "x" %}', INVALID],
  ['a set of the special names', '{% set true = false %}{{ messages[0].content }}', INVALID],
  ['the time of day', '{{ strftime_now("%H") }}', INVALID],
  ['an exception of its own with a long text', `${big('a', 20)}{{ raise_exception(a) }}`, 'TEMPLATE_REFUSED'],
  ['an exception that writes to the terminal', '{{ raise_exception("\\u001b[2Jgone") }}', 'TEMPLATE_REFUSED'],
];

const hostile = [...loops, ...growth, ...filters, ...searches, ...recursion, ...sources, ...escapes];

describe(`${hostile.length} hostile templates`, () => {
  it.each(hostile)('%s', (_, template, end) => {
    expect(render('{{ messages[0].content }}')).toBe('Hi'); // the thread is warm, and the one before did no harm
    const before = process.cpuUsage();
    let found: unknown;
    try {
      found = { text: render(template) };
    } catch (error) {
      found = error;
    }
    const { user, system } = process.cpuUsage(before);
    if (typeof end === 'string') expect(found).toMatchObject({ name: 'TextError', code: end });
    else expect(found).toEqual(end);
    expect((user + system) / 1000).toBeLessThan(PROMISE_MS);
  });

  it('show no more of themselves in an error than a line', () => {
    for (const [, template] of escapes.slice(-2)) {
      const message = messageOf(() => render(template));
      expect(message.length).toBeLessThan(600);
      expect(message).not.toMatch(/\p{Cc}/u);
    }
  });
});

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) return error.message;
  }
  throw new Error('There was no error');
}
