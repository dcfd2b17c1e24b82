/**
 * The bugs that are planted for `workers.ts`: what stands in the library, and what is put in its place.
 */
import type { Bug } from "./bugs.ts"
import type * as workers from "./workers.ts"

export const workerBugs: ReadonlyArray<Bug<keyof typeof workers>> = [
  // limits
  {
    bug: "drive more runs of a workflow than its limit says",
    file: "worker/Queue.ts",
    from: "if (line.running >= line.concurrency) continue",
    to: "",
    check: "limitsHeld"
  },
  {
    bug: "make no room when a run is over",
    file: "worker/Queue.ts",
    from: "if (line !== undefined) line.running--",
    to: "void line",
    check: "limitsHeld"
  },
  {
    bug: "drive a run before its workflow is known",
    file: "Worker.ts",
    from: "queue.isLimited && workflow === undefined ? sorted(taken) : driven(runId)",
    to: "driven(runId)",
    check: "limitsHeld"
  },
  {
    bug: "spend nothing of a rate",
    file: "worker/Queue.ts",
    from: "tokens -= 1",
    to: "",
    check: "ratesHeld"
  },
  {
    bug: "save up more of a rate than there is",
    file: "worker/Queue.ts",
    from: "const capacity = Math.max(1, times)",
    to: "const capacity = Math.max(1, times) + 1",
    check: "ratesHeld"
  },
  {
    bug: "forget when a rate allows the next run",
    file: "worker/Queue.ts",
    from: "if (at > now) next = Math.min(next, at)",
    to: "void at",
    check: "ratesHeld"
  },
  {
    bug: "let the oldest go first, whatever its priority",
    file: "worker/Queue.ts",
    from: "line.priority > best.line.priority || found.arrival < best.arrival",
    to: "found.arrival < best.arrival",
    check: "highestFirst"
  },
  // the worker
  {
    bug: "drive a run again that is driven",
    file: "Worker.ts",
    from: "const isFree = (runId: string) => !running.has(runId)",
    to: "const isFree = (runId: string) => runId !== \"\"",
    check: "drivenOnce"
  },
  {
    bug: "give up a run that could not be driven",
    file: "Worker.ts",
    from: "if (verdict._tag === \"Redeliver\") postpone(runId, verdict.after)",
    to: "",
    check: "triedAgain"
  },
  {
    bug: "forget a timer that the storage does not tell of",
    file: "Worker.ts",
    from: "else alarms.set(runId, verdict.until)",
    to: "",
    check: "timersRing"
  },
  {
    bug: "drive a run without a look at what was posted",
    file: "Turn.ts",
    from: "given.found?.hasPosts === false",
    to: "given.found !== undefined",
    check: "postsSeen"
  },
  {
    bug: "find no posts behind the taking of a lease",
    file: "MemoryDriver.ts",
    from: "hasPosts: inboxes.has(runId)",
    to: "hasPosts: false",
    check: "postsSeen"
  },
  // keys
  {
    bug: "make one run of one key in two workflows",
    file: "RunId.ts",
    from: "const text = `${prefix}${name}:${key}`",
    to: "const text = `${prefix}key:${key}`",
    check: "keysApart"
  },
  {
    bug: "leave debounced calls to nobody",
    file: "Dispatch.ts",
    from: "if (known !== undefined) return known",
    to: "if (known !== undefined || workflow !== \"\") return known",
    check: "debounced"
  },
  {
    bug: "begin the run of the first call",
    file: "Debouncer.ts",
    from: "last = next.value",
    to: "",
    check: "debounced"
  },
  {
    bug: "take a second call for a repeat",
    file: "workflow/Debounce.ts",
    from: "eventId: RunId.createRunId()",
    to: "eventId: key",
    check: "debounced"
  },
  {
    bug: "put a run off without end",
    file: "Debouncer.ts",
    from: "Math.min(last.wait, latest - (yield* ctx.now))",
    to: "Math.min(last.wait, latest)",
    check: "debouncedAtMost"
  },
  {
    bug: "give up a call whose run cannot be recorded now",
    file: "Debouncer.ts",
    from: "while: isStorage",
    to: "while: (error) => !isStorage(error)",
    check: "debouncedLater"
  },
  {
    bug: "keep all that a debouncer did in one journal",
    file: "Debouncer.ts",
    from: "const rounds = 100",
    to: "const rounds = 1e6",
    check: "debouncersShort"
  },
  // going on as another run
  {
    bug: "hand posts over to a run that is gone",
    file: "HandOver.ts",
    from: "{ ...posted, incarnation }",
    to: "posted",
    check: "inboxesHanded"
  },
  {
    bug: "post under another id in the next run",
    file: "Posts.ts",
    from: "posted({ eventId, ",
    to: "posted({ eventId: RunId.createRunId(), ",
    check: "postedOnce"
  },
  {
    bug: "take a chain away from its end on",
    file: "Runs.ts",
    from: "return chain.toReversed()",
    to: "return chain",
    check: "chainsPruned"
  },
  {
    bug: "take a run of a chain away without those before it",
    file: "Runs.ts",
    from: "yield* chainOf(storage, runId)",
    to: "[runId]",
    check: "chainsPruned"
  },
  {
    bug: "take a run away that has not handed over",
    file: "Runs.ts",
    from: "if (continuedAs !== undefined && !(yield* isThere(storage, continuedAs))) continue",
    to: "",
    check: "pendingKept"
  }
]
