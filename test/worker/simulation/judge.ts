/**
 * What must hold of a simulation however it went: every promise that a user can rely on, looked at from outside
 * of every process.
 */
import { Effect, Result } from "effect"
import { Journal } from "reprise"
import type { Fact } from "./disk.ts"
import type { Outcome } from "./play.ts"

/** How long after the storm clocks and leases have settled. */
const settling = 60_000

/** Everything that is not as it must be; empty when all is well. */
export const complaints = (outcome: Outcome): ReadonlyArray<string> => {
  const all: Array<string> = []
  const complain = (what: string) => all.push(what)
  // A storage that lies can make the looks below fail, too.
  for (const check of [ends, journals, posts, executions, zombies, peace, naps, rest]) {
    try {
      check(outcome, complain)
    } catch (error) {
      complain(`${check.name}: ${String(error)}`)
    }
  }
  return all
}

type Check = (outcome: Outcome, complain: (what: string) => void) => void

/** Every run ends as it must, and what did not go on by itself could be seen. */
const ends: Check = ({ blocked, isOver, jobs, status, undone }, complain) => {
  for (const job of jobs) {
    const run = status(job.runId)
    if (run === undefined) complain(`${job.runId} was lost`)
    else if (
      run.status !== job.ends && !(run.status === "cancelled" && job.cancelled !== undefined)
    ) {
      complain(
        `${job.runId} is ${run.status}, and not ${job.ends}: it waits for ${
          JSON.stringify(run.waits)
        }`
      )
    } else if (run.status === "success" && job.result !== undefined) {
      const seen = JSON.stringify(run.result), expected = JSON.stringify(job.result)
      if (seen !== expected) complain(`${job.runId} gave ${seen}, and not ${expected}`)
    }
  }
  for (const what of undone) complain(`a client could not ${what}`)
  if (!isOver && undone.length === 0) complain("it was never over")
  for (const [runId, why] of blocked) {
    if (why === undefined) complain(`${runId} was blocked, and the worker's health did not say so`)
  }
}

/** Every journal reads, in one piece, and holds each line once. */
const journals: Check = ({ disk }, complain) => {
  for (const runId of disk.runs) {
    const read = Journal.read(runId, Effect.runSync(disk.under.read(runId)).text)
    if (Result.isFailure(read)) {
      complain(`the journal of ${runId} is corrupt: ${read.failure.message}`)
      continue
    }
    const { entries, rejected, torn } = read.success
    if (rejected + torn > 0) {
      complain(`the journal of ${runId} has ${rejected + torn} lines that do not count`)
    }
    const steps = entries.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])
    if (new Set(steps).size < steps.length) {
      complain(`${runId} journaled a step twice: ${steps.join(", ")}`)
    }
    const seen = new Set(
      entries.map(({ session, type, writer }, n) => `${session} ${writer} ${type} ${n}`)
    )
    if (seen.size < entries.length) complain(`${runId} journaled a line twice`)
    // What a process was told is there.
    for (const fact of disk.acknowledged) {
      if (fact.runId !== runId || fact.type === "start") continue
      const isThere = entries.some((entry) =>
        entry.type === fact.type && entry.session === fact.session && entry.writer === fact.writer
        && (entry as { readonly stepId?: string }).stepId === fact.stepId
      )
      if (!isThere) complain(`${runId} lost its acknowledged ${fact.type} ${fact.stepId ?? ""}`)
    }
  }
}

/** A post that was acknowledged is taken once, unless its run ended without it. */
const posts: Check = ({ disk, jobs, status }, complain) => {
  for (const job of jobs) {
    const chain = Array.from(disk.runs).filter((runId) =>
      runId === job.runId || runId.startsWith(`${job.runId}+`)
    )
    const entries = chain.flatMap((runId) => {
      const read = Journal.read(runId, Effect.runSync(disk.under.read(runId)).text)
      return Result.isSuccess(read) ? read.success.entries : []
    })
    for (const { eventId, value } of job.letters) {
      const taken = entries.filter((entry) => entry.type === "resume" && entry.eventId === eventId)
      if (taken.length > 1) complain(`${job.runId} took ${eventId} ${taken.length} times`)
      // One that came before it was waited for has its value where it was kept.
      const values = entries.flatMap((entry) =>
        (entry.type === "resume" || entry.type === "event") && entry.eventId === eventId
          && entry.value !== undefined
          ? [entry.value]
          : []
      )
      if (values.some((found) => found !== value)) complain(`${job.runId} took another ${eventId}`)
      const isPosted = chain.some((runId) => disk.posted.has(`${runId} ${eventId}`))
      const needs = job.kind === "collector" || job.kind === "relay"
      if (needs && isPosted && taken.length === 0 && status(job.runId)?.status !== "cancelled") {
        complain(`${job.runId} never took ${eventId}, which was acknowledged`)
      }
    }
    if (job.kind !== "asker") continue
    const result = status(job.runId)?.result
    const isTaken = entries.some(({ type }) => type === "resume")
    const expected = isTaken ? `it is ${job.letters[0]?.value}` : "no answer"
    if (result !== undefined && result !== expected) {
      complain(`${job.runId} gave ${JSON.stringify(result)}, and its journal says ${expected}`)
    }
  }
}

const key = ({ runId, stepId }: { readonly runId: string; readonly stepId: string | undefined }) =>
  `${runId} ${stepId}`

/** What was acknowledged is not done again, and what may be done once is. */
const executions: Check = ({ disk, log }, complain) => {
  const known = new Map<string, Fact>()
  for (const fact of disk.acknowledged) {
    if (fact.type === "step" && !known.has(key(fact))) known.set(key(fact), fact)
  }
  const paid = new Map<string, number>()
  for (const deed of log.deeds) {
    const fact = known.get(key(deed))
    // One that had lost the run may still be at what it had begun: `zombies` looks at that.
    if (fact !== undefined && deed.n > fact.n && deed.session >= fact.session) {
      complain(`${deed.stepId} of ${deed.runId} was done again behind its acknowledged outcome`)
    }
    if (deed.stepId !== "pay") continue
    const times = (paid.get(deed.runId) ?? 0) + 1
    paid.set(deed.runId, times)
    if (times > 1) complain(`${deed.runId} paid ${times} times`)
  }
}

/** Nobody begins anything without a session of its own, and who lost a run does only what it had begun. */
const zombies: Check = ({ calmAt, disk, log }, complain) => {
  const sessions = new Map<string, Array<Fact>>()
  const acknowledged = new Set<string>()
  for (const fact of disk.acknowledged) {
    if (fact.type === "start") {
      acknowledged.add(`${fact.runId} ${fact.session} ${fact.process.name}`)
    }
  }
  for (const fact of disk.written) {
    if (fact.type === "start") {
      const of = sessions.get(fact.runId) ?? []
      sessions.set(fact.runId, of)
      of.push(fact)
    }
  }
  const late = new Map<string, Set<string>>()
  for (const deed of log.deeds) {
    const of = sessions.get(deed.runId) ?? []
    const own = of.find(({ process, session }) =>
      session === deed.session && process === deed.process
    )
    if (own === undefined || own.n > deed.n) {
      complain(`${deed.process.name} did ${deed.stepId} of ${deed.runId} without a session`)
      continue
    }
    const next = of.find(({ session }) => session > deed.session)
    if (next === undefined || next.n > deed.n || deed.stepId === "tried") continue
    const steps = late.get(`${deed.runId} ${deed.session}`) ?? new Set()
    late.set(`${deed.runId} ${deed.session}`, steps.add(deed.stepId))
  }
  for (const [session, steps] of late) {
    const branches = session.startsWith("fan") ? 3 : session.startsWith("lazy") ? 18 : 1
    if (steps.size > branches) {
      complain(`a session that had lost its run did ${Array.from(steps).join(", ")} of ${session}`)
    }
  }
  for (const { at, runId } of disk.moved) {
    if (at > calmAt + settling) {
      complain(`two drove ${runId} at once, ${at - calmAt} ms behind the storm`)
    }
  }
}

/** Where nothing goes wrong, nobody loses a run, and nothing is done twice. */
const peace: Check = ({ disk, isPeaceful, log }, complain) => {
  if (!isPeaceful) return
  for (const { runId } of disk.moved) complain(`two drove ${runId} at once, and nothing was wrong`)
  const done = new Set<string>()
  for (const deed of log.deeds) {
    if (deed.stepId === "try") continue
    if (done.has(key(deed))) complain(`${key(deed)} was done twice, and nothing was wrong`)
    done.add(key(deed))
  }
}

/** Nobody is woken too early. */
const naps: Check = ({ jobs, log, skew }, complain) => {
  for (const job of jobs) {
    if (job.kind !== "napper") continue
    const of = (stepId: string) =>
      log.deeds.find((deed) => deed.runId === job.runId && deed.stepId === stepId)
    const before = of("b"), after = of("c")
    if (before === undefined || after === undefined) continue
    if (after.at - before.at < job.input.long - 2 * skew) {
      complain(`${job.runId} slept ${after.at - before.at} ms, and not ${job.input.long}`)
    }
  }
}

/** Nothing is left behind: no lease, no place, no fiber, no callback. */
const rest: Check = ({ calmAt, client, disk, health, isOver, workers }, complain) => {
  if (!isOver) return
  for (const [token, { at, process, runId }] of disk.leases) {
    // What the dead asked for may still arrive, and nobody gives that back.
    if (at > calmAt + settling / 10 && process.state !== "dead") {
      complain(`${process.name} never gave lease ${token} of ${runId} back`)
    }
  }
  health.forEach((one, n) => {
    const name = workers[n]!.process.name
    if (one === undefined) return complain(`${name} does not answer`)
    if (one.running.length > 0) complain(`${name} still drives ${one.running.join(", ")}`)
    if (one.waiting > 0) complain(`${name} has ${one.waiting} runs that wait`)
    if (one.blocked.size > 0) {
      complain(`${name} says that ${Array.from(one.blocked.keys()).join(", ")} are blocked`)
    }
    if (one.failure !== undefined) complain(`${name} could not look: ${one.failure}`)
    if (one.state !== "working" || one.lookedAt === undefined) complain(`${name} does not work`)
    else if (one.lookedAt < calmAt) complain(`${name} has not looked since the storm`)
  })
  for (const { process } of workers) {
    const { hints, watchers } = disk.listening(process)
    if (hints !== 1) complain(`${process.name} listens ${hints} times`)
    if (watchers > 0) complain(`${process.name} still watches ${watchers} runs`)
    if (process.sleepers > 1) complain(`${process.sleepers} fibers of ${process.name} still wait`)
  }
  if (client.process.sleepers > 0) complain("a client still waits")
}

/** How a seed is played again. */
export const commandOf = (seed: number): string =>
  `SIMULATION_SEED=${seed} npx vitest run test/worker/simulation.test.ts`
