/** @file The fields of a configuration of TRL: a setting takes each by its type (import-trl.ts), and what nobody took is left over (trl-advice.ts). */
import { z } from 'zod';
import { RecipeError, shownValue } from '../errors.ts';

/** A field without an equivalent: what the recipe does instead, or what the user can do. */
export interface Unmatched {
  field: string;
  value: unknown;
  text: string;
}

/** The fields of a configuration. What is asked for is taken; what nobody asks for is left over. */
export class Fields {
  readonly #values: Map<string, unknown>;
  readonly needless: string[] = [];

  constructor(config: unknown) {
    const parsed = z.record(z.string(), z.unknown()).safeParse(config);
    if (!parsed.success) {
      throw new RecipeError(
        'TRL_CONFIG',
        'Cannot import the configuration: it is not a map of settings: give the YAML that `trl dpo --config` takes',
      );
    }
    this.#values = new Map(Object.entries(parsed.data).filter(([, value]) => value !== null));
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }
  take(name: string): unknown {
    const value = this.#values.get(name);
    this.#values.delete(name);
    return value;
  }
  text(name: string): string | null {
    return this.#typed(name, z.string(), 'a text');
  }
  number(name: string): number | null {
    // YAML 1.1 reads 1e-6 as a text, and so do configurations that were written for it.
    return this.#typed(name, z.coerce.number(), 'a number');
  }
  flag(name: string): boolean | null {
    return this.#typed(name, z.boolean(), 'true or false');
  }
  #typed<T>(name: string, schema: z.ZodType<T>, allowed: string): T | null {
    if (!this.has(name)) return null;
    const value = this.take(name);
    const parsed = schema.safeParse(value);
    return parsed.success ? parsed.data : refuse(name, `is ${shownValue(value, 80)}: allowed is ${allowed}`);
  }
  rest(): [string, unknown][] {
    return [...this.#values];
  }
}

/** Throws RecipeError TRL_CONFIG. */
export function refuse(field: string, problem: string): never {
  throw new RecipeError('TRL_CONFIG', `Cannot import the configuration: ${field} ${problem}`, { details: { field } });
}
