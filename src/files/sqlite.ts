/**
 * @file SQLite, by the better-sqlite3 that the running Node can use. Since version 13 its addon speaks Node-API and comes ready-made,
 * but asks for Node 22. Before, it is compiled for one Node, and Node 24.19 and later abort when they collect a statement of it.
 */
import { createRequire } from 'node:module';
import type BetterSqlite3 from 'better-sqlite3';

/** The package, as package.json names it, for a version of Node such as 24.21.0. */
export function sqlitePackage(nodeVersion: string = process.versions.node): string {
  return Number(nodeVersion.split('.')[0]) >= 22 ? 'better-sqlite3-13' : 'better-sqlite3';
}

/** A database that is open. */
export type Database = BetterSqlite3.Database;
/** One of its statements, prepared. */
export type Statement = BetterSqlite3.Statement;
/** Opens a database, as better-sqlite3's own class does. */
export const Database: typeof BetterSqlite3 = createRequire(import.meta.url)(sqlitePackage());
