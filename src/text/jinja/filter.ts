/** @file What a filter is: filters.ts has all of them by their names. */
import type { Meter } from './meter.ts';
import type { Arguments, Value } from './values.ts';

/** What a filter may use beside its value: the account, and other filters and tests (`map`, `select`). */
export interface FilterContext {
  meter: Meter;
  filter: (name: string, value: Value, given: Arguments) => Value;
  test: (name: string, value: Value, given: Arguments) => boolean;
}

/** One filter. Throws TemplateFault where Python refuses the value. */
export type Filter = (context: FilterContext, value: Value, given: Arguments) => Value;
