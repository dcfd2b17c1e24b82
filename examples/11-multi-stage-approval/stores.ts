/**
 * Where checkpoints wait: anything that keeps a text by a key. A Map, files, SQLite, Redis.
 */
import { mkdirSync } from "node:fs"
import { readFile, rename, rm, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { Redis } from "./redis.ts"

export interface Store {
  readonly set: (key: string, checkpoint: string) => void | Promise<void>
  readonly get: (key: string) => string | undefined | Promise<string | undefined>
  readonly delete: (key: string) => void | Promise<void>
}

export const ofMap = (map: Map<string, string>): Store => ({
  set: (key, checkpoint) => void map.set(key, checkpoint),
  get: (key) => map.get(key),
  delete: (key) => void map.delete(key)
})

export const ofFiles = (directory: string): Store => {
  mkdirSync(directory, { recursive: true })
  const path = (key: string) => join(directory, encodeURIComponent(key))
  return {
    // Renamed into place: whoever reads meanwhile sees all of it or nothing.
    set: async (key, checkpoint) => {
      await writeFile(`${path(key)}.new`, checkpoint)
      await rename(`${path(key)}.new`, path(key))
    },
    get: (key) =>
      readFile(path(key), "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined
        throw error
      }),
    delete: (key) => rm(path(key), { force: true })
  }
}

export const ofSqlite = (file: string): Store => {
  mkdirSync(dirname(file), { recursive: true })
  const db = new DatabaseSync(file)
  db.exec("create table if not exists checkpoints (key text primary key, checkpoint text not null)")
  const set = db.prepare("insert or replace into checkpoints values (?, ?)")
  const get = db.prepare("select checkpoint from checkpoints where key = ?")
  const remove = db.prepare("delete from checkpoints where key = ?")
  return {
    set: (key, checkpoint) => void set.run(key, checkpoint),
    get: (key) => get.get(key)?.["checkpoint"] as string | undefined,
    delete: (key) => void remove.run(key)
  }
}

/** Who does not decide within the hour has to be asked again: Redis forgets the checkpoint. */
export const ofRedis = (redis: Redis, seconds = 3600): Store => ({
  set: async (key, checkpoint) => {
    await redis.command("SET", key, checkpoint, "EX", String(seconds))
  },
  get: async (key) => await redis.command("GET", key) ?? undefined,
  delete: async (key) => {
    await redis.command("DEL", key)
  }
})
