/**
 * What a session waits for by the clock: sleeps, timeouts of waits, attempts that are to be repeated, and
 * children that wake up.
 */
import type { Pending } from "./Machine.ts"

export class Timers {
  /** UTC milliseconds of the first to go off; `Infinity` when there is none. */
  next = Infinity
  private readonly at = new Map<Pending, number>()
  private readonly isPending: (p: Pending) => boolean

  constructor(isPending: (p: Pending) => boolean) {
    this.isPending = isPending
  }

  /** `millis` is UTC. */
  set(p: Pending, millis: number): void {
    this.at.set(p, millis)
    if (millis < this.next) this.next = millis
  }

  /** Takes what has gone off at `now`, in the order it was due. */
  take(now: number): ReadonlyArray<Pending> {
    if (now < this.next) return []
    const due: Array<readonly [Pending, number]> = []
    this.next = Infinity
    for (const entry of this.at) {
      const [p, millis] = entry
      if (!this.isPending(p)) this.at.delete(p)
      else if (millis <= now) {
        this.at.delete(p)
        due.push(entry)
      } else if (millis < this.next) this.next = millis
    }
    return due.sort(([p, a], [q, b]) => a - b || p.seq - q.seq).map(([p]) => p)
  }

  /** Forgets everything. */
  clear(): void {
    this.at.clear()
    this.next = Infinity
  }

  /** Forgets what is no longer pending, so that `next` is that of something that is. */
  refresh(): void {
    this.next = Infinity
    for (const [p, millis] of this.at) {
      if (!this.isPending(p)) this.at.delete(p)
      else if (millis < this.next) this.next = millis
    }
  }
}
