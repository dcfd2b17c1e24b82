/** `reprise/postgres`: journals in Postgres, over Effect's SQL client. */
export * as PostgresStorage from "./postgres/PostgresStorage.ts"
