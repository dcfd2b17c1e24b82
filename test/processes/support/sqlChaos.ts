/** Processes that come and go: killed, stopped and woken at random. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { random } from "../../storage/support/random.ts"

const wait = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

export interface Chaos {
  readonly seed: number
  readonly seconds: number
  /** The arguments of the process that is started as the `nth`, after those for Node. */
  readonly arguments: (nth: number, kind: string, seed: number) => ReadonlyArray<string>
  /** Where compiled code is kept, so that a process begins soon. */
  readonly cache: string
  /** Called now and then; what it throws ends the chaos. */
  readonly look: () => Promise<void>
}

/** Four processes at a time, half of them bold; gives how often each thing was done to them. */
export const chaos = async (options: Chaos) => {
  const chance = random(options.seed)
  const kinds = ["polite", "bold", "polite", "bold"]
  const done = { spawned: 0, kills: 0, stops: 0, looks: 0 }
  const stopped = new Set<ChildProcess>()
  /** A process that has not begun yet would only be killed for nothing. */
  const ready = new Set<ChildProcess>()
  const enter = (kind: string): ChildProcess => {
    const one = spawn(
      process.execPath,
      [
        "--conditions=reprise-source",
        ...options.arguments(done.spawned++, kind, chance.below(2 ** 31))
      ],
      {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, NODE_COMPILE_CACHE: options.cache }
      }
    )
    one.stdout.once("data", () => ready.add(one))
    return one
  }
  const contenders = kinds.map(enter)
  try {
    const end = performance.now() + options.seconds * 1_000
    const enough = 100
    // Where the machine has much else to do, a turn takes longer, and so few of them are no chaos.
    const last = end + options.seconds * 3_000
    const isOver = (turn: number) => performance.now() >= (turn <= enough ? last : end)
    for (let turn = 1; !isOver(turn); turn++) {
      await wait(5 + chance.below(40))
      if (turn % 10 === 0) {
        done.looks++
        await options.look()
      }
      const at = chance.below(contenders.length)
      const one = contenders[at]!
      const dice = chance.below(10)
      if (!ready.has(one)) continue
      if (stopped.has(one)) {
        if (dice < 4) {
          one.kill("SIGCONT")
          stopped.delete(one)
        }
      } else if (dice < 4) {
        one.kill("SIGSTOP")
        stopped.add(one)
        done.stops++
      } else if (dice === 4 || one.exitCode !== null) {
        one.kill("SIGKILL")
        contenders[at] = enter(chance.pick(kinds))
        done.kills++
      }
    }
  } finally {
    for (const one of contenders) one.kill("SIGKILL")
  }
  for (const one of contenders) {
    if (one.exitCode === null && one.signalCode === null) await once(one, "exit")
  }
  return done
}
