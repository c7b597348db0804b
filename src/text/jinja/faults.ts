/** @file How a template can fail, beside exceeding its budget (meter.ts). */

/** An error of the template: its syntax, a name that is not defined, an operation that Python refuses ... */
export class TemplateFault extends Error {
  override name = 'TemplateFault';
  /** Where in the template, once it is known. */
  line: number | null = null;
}

/** The template called raise_exception: it refuses the conversation. */
export class RaisedByTemplate extends Error {
  override name = 'RaisedByTemplate';
}
