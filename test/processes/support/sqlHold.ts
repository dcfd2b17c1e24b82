/**
 * A process that is in the way of all others on a SQLite file: it holds the write lock, or the whole file, says
 * so, and lets go when it is told to.
 */
import { once } from "node:events"
import { DatabaseSync } from "node:sqlite"

const [filename, what] = process.argv.slice(2)

const db = new DatabaseSync(filename!)
if (what === "file") {
  // In this mode a connection keeps every lock that it ever took.
  db.exec("PRAGMA locking_mode=EXCLUSIVE")
  db.exec("CREATE TABLE IF NOT EXISTS mine (id INTEGER)")
  db.exec("INSERT INTO mine VALUES (1)")
} else {
  db.exec("BEGIN IMMEDIATE")
}
process.stdout.write("held\n")
await once(process.stdin, "data")
if (what !== "file") db.exec("COMMIT")
db.close()
process.exit(0)
