/**
 * @file What `require('selm')` finds. The package loads its sources while it is imported, which `require` cannot wait for, so
 * this entry says what to write in its place (docs/decisions/0004-library-entry.md).
 */
throw Object.assign(
  new Error(
    "Cannot require('selm'): it is an ES module that is loaded asynchronously: write `const { train } = await import('selm')` inside an async function, or rename the file to .mjs and write `import { train } from 'selm'`",
  ),
  { code: 'REQUIRE_NOT_SUPPORTED' },
);
