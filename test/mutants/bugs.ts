/**
 * The bugs that are planted for `instructions.ts`: what stands in the library, and what is put in its place.
 */
import type * as instructions from "./instructions.ts"

export interface Bug<Check> {
  readonly bug: string
  readonly file: string
  /** Stands in the file once or more; every place is changed. */
  readonly from: string
  readonly to: string
  readonly check: Check
}

export const bugs: ReadonlyArray<Bug<keyof typeof instructions>> = [
  // time
  {
    bug: "let timers go off a second early",
    file: "session/Ledger.ts",
    from: "this.timers.take(this.clock.currentTimeMillisUnsafe())",
    to: "this.timers.take(this.clock.currentTimeMillisUnsafe() + 1_000)",
    check: "neverEarly"
  },
  {
    bug: "journal no timers",
    file: "session/Ledger.ts",
    from: "this.batch.push(recorded)",
    to: `if (entry.type !== "timer") this.batch.push(recorded)`,
    check: "timersJournaled"
  },
  {
    bug: "let the time of a run go back with the clock",
    file: "Machine.ts",
    from: "this.at = later(this.at, timestamp)",
    to: "this.at = timestamp",
    check: "timeGoesOn"
  },
  {
    bug: "count attempts anew in every session",
    file: "Session.ts",
    from: "earlier: p.retry?.failed ?? []",
    to: "earlier: []",
    check: "retryBudget"
  },
  // events
  {
    bug: "leave kept events to waits without a timeout",
    file: "Machine.ts",
    from: `if (instruction.op !== "suspend") continue`,
    to: `if (instruction.op !== "suspend" || instruction.timeout !== undefined) continue`,
    check: "keptEvents"
  },
  {
    bug: "forget what follows from an outcome",
    file: "session/Ledger.ts",
    from: "return this.feed(entry) && this.follow()",
    to: "return this.feed(entry)",
    check: "keptEvents"
  },
  {
    bug: "look at the timers before the inbox",
    file: "Session.ts",
    from: "if (this.news.length > 0) yield* this.feedNews()",
    to: "this.feedTimers(); if (this.news.length > 0) yield* this.feedNews()",
    check: "eventsFirst"
  },
  {
    bug: "take a token of a run that was removed",
    file: "Posts.ts",
    from: "if (journal.head.incarnation !== incarnation) return",
    to: "if (incarnation === \"\") return",
    check: "tokens"
  },
  {
    bug: "take a token as often as its link is followed",
    file: "Posts.ts",
    from: "eventId: `token:${token}`",
    to: "eventId: undefined",
    check: "tokens"
  },
  {
    bug: "send under another id each time",
    file: "instruction/Calls.ts",
    from: "{ eventId: idempotencyKey, ...(event as object) }",
    to: "{ ...(event as object) }",
    check: "sendsOnce"
  },
  // branches
  {
    bug: "let the losers of a race go on",
    file: "machine/Body.ts",
    from: "this.cancel(f.live, undefined)",
    to: "",
    check: "losersEnd"
  },
  {
    bug: "take the outcome of what was cancelled meanwhile",
    file: "session/Ledger.ts",
    from: "if (this.failure !== undefined || !this.isPending(pending)) return",
    to: "if (this.failure !== undefined) return",
    check: "lostOutcomes"
  },
  // undoing
  {
    bug: "undo in the order in which things were done",
    file: "machine/Body.ts",
    from: "const last = rest.pop()",
    to: "const last = rest.shift()",
    check: "undoOrder"
  },
  {
    bug: "journal no undo",
    file: "session/Ledger.ts",
    from: "this.batch.push(recorded)",
    to: `if (entry.type !== "undo") this.batch.push(recorded)`,
    check: "undoOrder"
  },
  {
    bug: "give an undo one attempt",
    file: "Session.ts",
    from: "retry = p.node.isUndo ? undoRetry : undefined",
    to: "retry",
    check: "undoRetried"
  },
  {
    bug: "say nothing of an undo that failed",
    file: "machine/Body.ts",
    from: "notUndone?.push({ step: id, ...why })",
    to: "",
    check: "undoFails"
  },
  {
    bug: "undo what was done when the body has a bug",
    file: "machine/Body.ts",
    from: "&& !this.options.codec.mayEndWith(outcome.error, this.declared)",
    to: "&& this.isForced",
    check: "bugsUndoNothing"
  },
  {
    bug: "interrupt a step that can be undone",
    file: "machine/Body.ts",
    from: "undoOf(p) !== undefined || (p.instruction.op",
    to: "(p.instruction.op",
    check: "undoRunning"
  },
  {
    bug: "run a step again whose outcome is unknown, to undo it",
    file: "Session.ts",
    from: `this.record({ type: "undo", stepId: p.id, unknown: true })`,
    to: "this.starting.push(p)",
    check: "undoUnknown"
  },
  // children
  {
    bug: "end without a word to the children",
    file: "Session.ts",
    from: "else this.cancels.push([p, machine.isForced])",
    to: "else this.running.release(p)",
    check: "childrenHear"
  },
  {
    bug: "forget children that were cancelled before a crash",
    file: "machine/Body.ts",
    from: `if (op === "child" || (this.live && op === "step"))`,
    to: "if (this.live)",
    check: "childrenHearLater"
  },
  {
    bug: "wait for no child that is cancelled",
    file: "machine/Body.ts",
    from: `p.instruction.onCancel === "await"`,
    to: `p.instruction.name === ""`,
    check: "childrenAwaited"
  },
  {
    bug: "give a child another id in every session",
    file: "Children.ts",
    from: "derived(this.o.runId, this.o.incarnation, pending.id)",
    to: "derived(this.o.runId, String(Math.random()), pending.id)",
    check: "childIds"
  },
  {
    bug: "take the outcome of a child twice",
    file: "session/Ledger.ts",
    from: "if (!this.record(outcome.entry))",
    to: "this.record(outcome.entry)\n        if (!this.record(outcome.entry))",
    check: "childIds"
  },
  // going on in a fresh journal
  {
    bug: "leave kept events behind",
    file: "HandOver.ts",
    from: "...untaken(journal), ",
    to: "",
    check: "handedOver"
  },
  {
    bug: "forget which events were taken",
    file: "HandOver.ts",
    from: ".slice(-takenLimit)",
    to: ".slice(0, 0)",
    check: "takenOnce"
  },
  {
    bug: "leave posts in the inbox of the run that has ended",
    file: "HandOver.ts",
    from: "inbox.items.filter(({ eventId }) => !ids.has(eventId))",
    to: "[]",
    check: "passedOn"
  },
  // change
  {
    bug: "take the new path in an old run",
    file: "Machine.ts",
    from: "const yes = next === undefined",
    to: `const yes = changeId !== ""`,
    check: "oldPath"
  },
  {
    bug: "answer anew each time whether a run takes the new path",
    file: "Machine.ts",
    from: "this.patches.set(changeId, yes)",
    to: "",
    check: "oldPath"
  },
  {
    bug: "journal a change ahead of the outcome whose slice asked",
    file: "session/Ledger.ts",
    from: "this.batch.push(recorded)",
    to: `this.batch.splice(this.batch.length - (entry.type === "patch" ? 1 : 0), 0, recorded)`,
    check: "patchPlace"
  },
  {
    bug: "journal a change behind the next outcome",
    file: "session/Ledger.ts",
    from: "this.batch.push(recorded)",
    to:
      `this.batch.splice(this.batch.length - (this.batch.at(-1)?.json.includes('"patch"') ? 1 : 0), 0, recorded)`,
    check: "patchPlace"
  },
  {
    bug: "go on with the newest body, whatever the journal names",
    file: "Program.ts",
    from: "all.find((program) => program.version === version)",
    to: "all.find(() => true)",
    check: "oldBody"
  },
  {
    bug: "drive a run of a version that is not there",
    file: "Opening.ts",
    from: "const program = Replay.ofVersion(newest, start.version)",
    to: "const program = Replay.ofVersion(newest, start.version) ?? newest",
    check: "newerRun"
  },
  {
    bug: "draw the same in every run of one id",
    file: "machine/Body.ts",
    from: "return `${seed}:${n.prefix}",
    to: "return `${this.options.runId}:${n.prefix}",
    check: "chance"
  },
  {
    bug: "draw the same in every branch",
    file: "machine/Body.ts",
    from: "return `${seed}:${n.prefix}",
    to: "return `${seed}:",
    check: "chance"
  },
  // durability
  {
    bug: "run an at-most-once step while its intent is on its way",
    file: "Session.ts",
    from: "conclusion !== undefined || (!isDue && this.recordIntents())",
    to: "conclusion !== undefined || (!isDue && this.recordIntents(), false)",
    check: "intentsFirst"
  },
  {
    bug: "run a step again that has an intent and no outcome",
    file: "session/Ledger.ts",
    from: `if (op === "step" && p.intent > 0) this.unknown.add(p)`,
    to: `if (op === "suspend" && p.intent > 0) this.unknown.add(p)`,
    check: "neverTwice"
  },
  {
    bug: "say that a run is over before that is written",
    file: "Session.ts",
    from: "conclusion !== undefined || (!isDue && this.recordIntents())",
    to: "this.recordIntents()",
    check: "exitWritten"
  },
  {
    bug: "not wait for what is written in the background",
    file: "Appender.ts",
    from: "Effect.andThen(Fiber.await(this.flusher), this.flush())",
    to: "succeedTrue",
    check: "asyncWritten"
  },
  {
    bug: "settle a step whose outcome is not unknown",
    file: "Record.ts",
    from: `pending?.instruction.op !== "step" || pending.intent === 0`,
    to: `pending?.instruction.op !== "step"`,
    check: "settledOnly"
  },
  {
    bug: "not count the deaths of a run",
    file: "Status.ts",
    from: "else if (entry.enqueued !== true) status.fruitless++",
    to: "else status.fruitless = 0",
    check: "crashLoop"
  },
  {
    bug: "let a journal grow without end",
    file: "Session.ts",
    from: "entries >= this.limits.stop",
    to: "entries === -1",
    check: "journalLimit"
  },
  // what is due
  {
    bug: "overlook timers that have gone off",
    file: "Due.ts",
    from: "if (alone.wakeAt !== undefined && alone.wakeAt <= now) return true",
    to: "",
    check: "dueTimers"
  },
  {
    bug: "wake a run before its timer goes off",
    file: "Due.ts",
    from: "alone.wakeAt <= now",
    to: "alone.wakeAt > 0",
    check: "dueTimers"
  },
  {
    bug: "overlook children that have ended",
    file: "Due.ts",
    from: "if (last !== undefined && Journal.isEnd(last)) return true",
    to: "",
    check: "dueChildren"
  },
  // the guard
  {
    bug: "leave the wrappers armed when a body throws",
    file: "machine/Body.ts",
    from: "} catch (error) {\n        slice.isOpen = false",
    to: "} catch (error) {",
    check: "slicesClose"
  },
  {
    bug: "overlook an instruction that was never yielded",
    file: "machine/Body.ts",
    from: "if (outcome.ok && this.unused.size > 0 &&",
    to: "if (this.isForced &&",
    check: "notYielded"
  },
  {
    bug: "compare no replay with what runs",
    file: "Session.ts",
    from: "if (this.shadow && this.mayCompare",
    to: "if (this.fenced && this.mayCompare",
    check: "shadow"
  }
]
