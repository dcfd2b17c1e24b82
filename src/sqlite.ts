/** `reprise/sqlite`: journals in a SQLite file. Needs `node:sqlite`. */
export * as SqliteStorage from "./sqlite/SqliteStorage.ts"
