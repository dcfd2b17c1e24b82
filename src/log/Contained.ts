/**
 * What a pipeline's branches and nested pipelines came to: when each began, and which keys it gives.
 *
 * Fed with the outcomes of one run in the order of its journal, replayed ones as well. Steps of one level
 * follow each other, so at most one branch or nested pipeline is open in each.
 */
import type { Named, Place } from "../Naming.ts"

/** A branch or a nested pipeline that is over. */
export interface Over {
  /** UTC milliseconds. */
  readonly began: number
  readonly keys: ReadonlyArray<string>
}

interface Open {
  readonly began: number
  /** What stands before `[` in the ids of the parts of its latest attempt; empty without parts. */
  fan: string
}

export class Contained {
  private readonly open = new Map<string, Open>()
  /** What was merged so far, by level. */
  private readonly given = new Map<string, Set<string>>()
  /** When something was last over, by level. */
  private readonly over: Map<string, number>

  /** `began`: when the run was opened, in UTC milliseconds. */
  constructor(began: number) {
    this.over = new Map([["", began]])
  }

  /** A step begins. */
  begins({ kind, place }: Named): void {
    if (place === undefined) return
    for (const { fan, level } of place.within) this.opened(level).fan = fan
    if (kind === "decision") this.opened(place.level)
  }

  /** A step is over, and gave these keys, if it did not fail; of a container, what is known of it. */
  ends(named: Named, keys: ReadonlyArray<string> | undefined, at: number): Over | undefined {
    const { kind, place } = named
    if (place === undefined) return undefined
    this.begins(named)
    const over = kind === "end" ? this.closed(place) : undefined
    if (keys !== undefined) this.gave(named, place, over?.keys ?? keys)
    this.over.set(place.level, Math.max(at, this.latest(place.level)))
    return over
  }

  private opened(level: string): Open {
    let open = this.open.get(level)
    if (open === undefined) this.open.set(level, open = { began: this.latest(level), fan: "" })
    return open
  }

  private closed({ level }: Place): Over {
    const { began, fan } = this.opened(level)
    const keys = new Set<string>()
    for (const [inner, given] of this.given) {
      // Of what stands deeper, only what was merged into a part counts.
      const isPart = inner.startsWith(`${fan}[`)
        && inner.indexOf("/", fan.length) + 1 === inner.length
      if (isPart) { for (const key of given) keys.add(key) }
    }
    this.open.delete(level)
    for (const known of [this.open, this.given, this.over]) {
      for (const inner of known.keys()) {
        if (inner !== level && inner.startsWith(level)) known.delete(inner)
      }
    }
    return { began, keys: [...keys] }
  }

  private gave({ kind }: Named, { level }: Place, keys: ReadonlyArray<string>): void {
    const known = this.given.get(level)
    // A transform gives another context.
    if (known === undefined || kind === "transform") this.given.set(level, new Set(keys))
    else for (const key of keys) known.add(key)
  }

  /** When what comes next in a level begins: once what stands before it is over, there or around it. */
  private latest(level: string): number {
    let at = this.over.get("")!
    for (let end = level.indexOf("/"); end >= 0; end = level.indexOf("/", end + 1)) {
      at = Math.max(at, this.over.get(level.slice(0, end + 1)) ?? at)
    }
    return at
  }
}
