/** @file The filters of Jinja2 by their names, with the tojson of transformers. */
import { TemplateFault } from './faults.ts';
import type { Filter, FilterContext } from './filter.ts';
import { numberFilters } from './filters-of-numbers.ts';
import { sequenceFilters } from './filters-of-sequences.ts';
import { textFilters } from './filters-of-texts.ts';
import type { Arguments, Value } from './values.ts';

const FILTERS: ReadonlyMap<string, Filter> = new Map([
  ...Object.entries(textFilters),
  ...Object.entries(numberFilters),
  ...Object.entries(sequenceFilters),
]);

/** Filters of Jinja2 that no chat template needs, or whose result is not fixed. */
const LEFT_OUT = ['filesizeformat', 'pprint', 'random', 'striptags', 'urlize', 'wordwrap', 'xmlattr'];

/** Whether Jinja2 has the filter. */
export function isFilter(name: string): boolean {
  return FILTERS.has(name) || LEFT_OUT.includes(name);
}

/** value | name(given) */
export function applyFilter(context: FilterContext, name: string, value: Value, given: Arguments): Value {
  context.meter.step(4);
  const filter = FILTERS.get(name);
  if (filter !== undefined) return filter(context, value, given);
  if (LEFT_OUT.includes(name)) throw new TemplateFault(`the filter '${name}' is not supported in chat templates`);
  throw new TemplateFault(`there is no filter named '${name.slice(0, 60)}'`);
}
