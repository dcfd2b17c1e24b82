/**
 * Postgres for a test file: a database of its own on the server that the whole run shares, or on the one
 * that `DATABASE_URL` names.
 */
import { connect } from "node:net"
import { text } from "node:stream/consumers"
import { afterAll, inject, onTestFinished, TestRunner } from "vitest"
import { createDatabaseOn, type Database } from "../../scripts/postgres.ts"

export {
  type Database,
  execute,
  type Postgres,
  type PostgresOptions,
  startPostgres
} from "../../scripts/postgres.ts"

/** Of the server that all test files share; starts it if nobody did. */
export const postgresUrl = async (): Promise<string> => {
  const given = process.env.DATABASE_URL
  if (given !== undefined && given !== "") return given
  const answer: { readonly url?: string; readonly error?: string } = JSON.parse(
    await text(connect(inject("postgresPort"), "127.0.0.1"))
  )
  if (answer.url === undefined) throw new Error(answer.error)
  return answer.url
}

/**
 * A new database: at the top of a file for all its tests, or within a test for that one. It is dropped
 * when the file or the test is done.
 */
export const createDatabase = async (): Promise<Database> => {
  const within = TestRunner.getCurrentTest() !== undefined
  const database = await createDatabaseOn(await postgresUrl())
  if (within) onTestFinished(database.drop)
  else afterAll(database.drop)
  return database
}
