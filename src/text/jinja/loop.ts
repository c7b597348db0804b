/** @file The variable `loop` of a for loop. */
import { TemplateFault } from './faults.ts';
import type { Meter } from './meter.ts';
import { equal } from './python.ts';
import { type Arguments, HostObject, orElse, Undefined, type Value } from './values.ts';

/** Goes over the items of a loop, looking ahead only where the template asks for what comes. */
export class LoopState {
  readonly #meter: Meter;
  readonly #depth: number;
  readonly #knownLength: number | null;
  #items: Iterator<Value>;
  /** Items that were looked at before their turn. */
  readonly #ahead: Value[] = [];
  #index = -1;
  #previous: Value | undefined;
  #current: Value | undefined;
  #length: number | null = null;
  #lastChanged: readonly Value[] | null = null;
  /** What templates see. */
  readonly value: HostObject;

  /**
   * @param knownLength of the items, null where they are made while the loop goes on
   * @param recurse for `loop(items)` in a recursive loop, null in others
   */
  constructor(
    meter: Meter,
    items: Iterator<Value>,
    knownLength: number | null,
    depth: number,
    recurse: ((items: Value) => Value) | null,
  ) {
    this.#meter = meter;
    this.#items = items;
    this.#knownLength = knownLength;
    this.#depth = depth;
    const call = ({ positional: [inner] }: Arguments): Value => {
      if (recurse === null) {
        throw new TemplateFault("The loop must have the 'recursive' marker to be called recursively.");
      }
      return recurse(inner ?? null);
    };
    this.value = new HostObject('LoopContext', call, (name) => this.#attribute(name));
  }

  /** The next item, undefined at the end. */
  next(): Value | undefined {
    this.#previous = this.#current;
    this.#current = this.#ahead.length > 0 ? this.#ahead.shift() : this.#read();
    this.#index += 1;
    return this.#current;
  }

  #read(): Value | undefined {
    const { done, value } = this.#items.next();
    return done === true ? undefined : value;
  }

  #peek(): Value | undefined {
    if (this.#ahead.length === 0) {
      const item = this.#read();
      if (item !== undefined) this.#ahead.push(item);
    }
    return this.#ahead[0];
  }

  #count(): number {
    if (this.#length !== null) return this.#length;
    if (this.#knownLength === null) {
      for (let item = this.#read(); item !== undefined; item = this.#read()) {
        this.#ahead.push(item);
        if (this.#ahead.length > this.#meter.limits.items) this.#meter.list(this.#ahead.length);
      }
    }
    this.#length = this.#knownLength ?? this.#index + 1 + this.#ahead.length;
    return this.#length;
  }

  #attribute(name: string): Value | undefined {
    switch (name) {
      case 'index':
        return BigInt(this.#index + 1);
      case 'index0':
        return BigInt(this.#index);
      case 'revindex':
        return BigInt(this.#count() - this.#index);
      case 'revindex0':
        return BigInt(this.#count() - this.#index - 1);
      case 'first':
        return this.#index === 0;
      case 'last':
        return this.#peek() === undefined;
      case 'length':
        return BigInt(this.#count());
      case 'depth':
        return BigInt(this.#depth + 1);
      case 'depth0':
        return BigInt(this.#depth);
      case 'previtem':
        return orElse(this.#previous, () => new Undefined('there is no previous item'));
      case 'nextitem':
        return orElse(this.#peek(), () => new Undefined('there is no next item'));
      case 'cycle':
        return new HostObject('method', ({ positional }) => {
          if (positional.length === 0) throw new TemplateFault('no items for cycling given');
          return positional[this.#index % positional.length] ?? null;
        });
      case 'changed':
        return new HostObject('method', ({ positional }) => this.#changed(positional));
      default:
        return undefined;
    }
  }

  #changed(values: readonly Value[]): boolean {
    const last = this.#lastChanged;
    const same =
      last !== null &&
      last.length === values.length &&
      last.every((value, i) => equal(this.#meter, value, values[i] ?? null));
    if (!same) this.#lastChanged = values;
    return !same;
  }
}
