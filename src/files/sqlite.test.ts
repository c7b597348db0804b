import { expect, test } from 'vitest';
import { Database, sqlitePackage } from './sqlite.ts';

test.each([
  ['20.19.0', 'better-sqlite3'],
  ['22.12.0', 'better-sqlite3-13'],
  ['24.21.0', 'better-sqlite3-13'],
  ['26.1.0', 'better-sqlite3-13'],
])('Node %s uses %s', (version, name) => {
  expect(sqlitePackage(version)).toBe(name);
});

test('the running Node has a SQLite with strict tables', () => {
  const database = new Database(':memory:');
  database.exec('CREATE TABLE numbers (value INTEGER NOT NULL) STRICT');
  expect(() => database.exec("INSERT INTO numbers VALUES ('one')")).toThrow(
    /cannot store TEXT value in INTEGER column/,
  );
  database.close();
});
