/**
 * The bugs that are planted for `copies.ts`: what stands in the library, and what is put in its place.
 */
import type { Bug } from "./bugs.ts"
import type * as copies from "./copies.ts"

export const copyBugs: ReadonlyArray<Bug<keyof typeof copies>> = [
  // hooks
  {
    bug: "tell hooks of an outcome before it is appended",
    file: "Session.ts",
    from: "if (isDue && !this.opened) {",
    to: "if (isDue) {",
    check: "hooksFirst"
  },
  {
    bug: "lose the outcome over which a hook fails",
    file: "Session.ts",
    from: "if (isDue && !this.opened) {",
    to: "if (isDue) {",
    check: "hookFailures"
  },
  {
    bug: "journal several outcomes before hooks hear of the first",
    file: "Session.ts",
    from: "this.hearing === undefined ? Infinity : 1",
    to: "Infinity",
    check: "hooksFirst"
  },
  {
    bug: "take for heard what a process died over",
    file: "session/Hearing.ts",
    from: "isFresh && isLastUnheard(found) ? 1 : 0",
    to: "0",
    check: "heardAgain"
  },
  {
    bug: "tell of recorded outcomes as if they were done now",
    file: "session/Hearing.ts",
    from: "const isSkipped = at < this.skipped",
    to: "const isSkipped = false",
    check: "heardAgain"
  },
  {
    bug: "tell a run that goes on in its process of all of it again",
    file: "session/Hearing.ts",
    from: "this.told = isFresh ? 0 : taken.length",
    to: "this.told = 0",
    check: "heardOnce"
  },
  {
    bug: "start the next step before the hook",
    file: "Session.ts",
    from: "if (isDue) {\n        yield* this.tellHooks()",
    to:
      "if (isDue) {\n        this.takeFresh()\n        for (const next of this.starting.splice(0)) yield* this.launch(next)\n        yield* this.tellHooks()",
    check: "hooksFirst"
  },
  {
    bug: "start the next step while a hook still runs",
    file: "session/Hearing.ts",
    from: "yield* said\n",
    to: "yield* Effect.forkChild(said)\n",
    check: "hooksFirst"
  },
  {
    bug: "journal an intent before the hook hears of what leads to it",
    file: "Session.ts",
    from: "yield* this.hearing!.tell(() => {",
    to:
      "this.takeFresh()\n      if (this.recordIntents()) yield* this.appender.append(this.takeBatch(), true)\n      yield* this.hearing!.tell(() => {",
    check: "hooksFirst"
  },
  {
    bug: "journal a suspension before the hook hears of what leads to it",
    file: "Session.ts",
    from: "const idle = !isDue && this.isIdle()",
    to: "const idle = (!isDue || this.o.machine.onlyWaits) && this.isIdle()",
    check: "hooksFirst"
  },
  {
    bug: "journal the end before the hook hears of the last step",
    file: "Session.ts",
    from: "const idle = !isDue && this.isIdle()",
    to: "const idle = (!isDue || this.o.machine.outcome !== undefined) && this.isIdle()",
    check: "hooksFirst"
  },
  {
    bug: "journal a step as failed when a hook fails",
    file: "Session.ts",
    from: "private tellHooks(): Effect.Effect<void, SessionError> {",
    to: `private tellHooks(): Effect.Effect<void, SessionError> {
    return Effect.tapError(this.tellThem(), ({ stepId }: any) => {
      const entry = { type: "step", stepId, name: stepId, error: { tag: "HookFailed", message: "" } } as const
      return this.appender.append(
        [{ entry, json: JSON.stringify(entry), timestamp: this.timestamp() }],
        true
      )
    })
  }

  private tellThem(): Effect.Effect<void, SessionError> {`,
    check: "hookFailures"
  },
  {
    bug: "swallow what a hook throws",
    file: "Hooks.ts",
    from: "return Effect.fail(failed(error))",
    to: "return undefined",
    check: "hookFailures"
  },
  {
    bug: "swallow what the effect of a hook fails with",
    file: "Hooks.ts",
    from: "Effect.fail(failed(Cause.squash(exit.cause)))",
    to: "Effect.void",
    check: "hookFailures"
  },
  // stopping
  {
    bug: "go on after a stop",
    file: "Session.ts",
    from: "const stopped = this.hearing?.stopped",
    to: "const stopped = undefined as { stepId: string; context: unknown } | undefined",
    check: "stops"
  },
  {
    bug: "journal no stop",
    file: "session/Ledger.ts",
    from: "if (this.isStopRecorded) return",
    to: "return",
    check: "stops"
  },
  {
    bug: "let start pass a stop",
    file: "Turn.ts",
    from: "if (stepId !== undefined && !given.goesOn &&",
    to: "if (stepId !== undefined && false &&",
    check: "stops"
  },
  {
    bug: "name stopped runs among those that are due",
    file: "Due.ts",
    from: "return yield* hasPosts(driver, runId, journal, isCancel)",
    to: "return true",
    check: "stops"
  },
  {
    bug: "let an event make a stopped run due",
    file: "Due.ts",
    from: "hasPosts(driver, runId, journal, isCancel)",
    to: "hasPosts(driver, runId, journal, isAny)",
    check: "stops"
  },
  {
    bug: "start what was ready when a run is stopped over what was found",
    file: "Session.ts",
    from: "this.starting = []",
    to: "",
    check: "stopsFound"
  },
  {
    bug: "cut off what runs in other branches when a run is stopped",
    file: "Session.ts",
    from: `if (p.instruction.op === "child") this.dropStep(p)\n    }`,
    to: "this.dropStep(p)\n    }",
    check: "stopsBesides"
  },
  {
    bug: "take what ends behind a stop for a sign that the run goes on",
    file: "Status.ts",
    from: `status.status === "stopped" && entry.type !== "start"`,
    to: "false",
    check: "stopsBesides"
  },
  // checkpoints
  {
    bug: "do not compare the sum of a checkpoint",
    file: "Checkpoint.ts",
    from: "|| crc32Hex(given, 0, given.length - sumLength) !== found[4]",
    to: "",
    check: "wholeTexts"
  },
  {
    bug: "do not see that a checkpoint was cut",
    file: "Checkpoint.ts",
    from: "if (given.length < length &&",
    to: "if (false &&",
    check: "wholeTexts"
  },
  {
    bug: "do not compare the length of a checkpoint",
    file: "Checkpoint.ts",
    from: "given.length !== length",
    to: "false",
    check: "wholeTexts"
  },
  {
    bug: "take the checkpoint of another workflow",
    file: "Fork.ts",
    from: "if (checkpoint.workflow !== name) {",
    to: "if (false) {",
    check: "checkpointsOfOne"
  },
  {
    bug: "take a checkpoint that has expired",
    file: "Checkpoint.ts",
    from: "expiresAt !== undefined && now >= expiresAt",
    to: "expiresAt === null",
    check: "checkpointsExpire"
  },
  {
    bug: "do not compare the signature of a checkpoint",
    file: "node/CheckpointKeys.ts",
    from: "timingSafeEqual(bytes.subarray(-macBytes), macOf(key, keyId, signed))",
    to: "timingSafeEqual(bytes.subarray(-macBytes), bytes.subarray(-macBytes))",
    check: "checkpointKeys"
  },
  {
    bug: "take an unprotected checkpoint where there are keys",
    file: "Checkpoint.ts",
    from: "return keys === undefined ? decode(body)",
    to: "return keys !== null ? decode(body)",
    check: "checkpointKeys"
  },
  {
    bug: "copy intents",
    file: "Cut.ts",
    from: `case "intent":\n`,
    to: "",
    check: "bareCopies"
  },
  {
    bug: "copy failed attempts",
    file: "Cut.ts",
    from: `case "retry":\n`,
    to: "",
    check: "bareCopies"
  },
  {
    bug: "copy suspensions",
    file: "Cut.ts",
    from: `case "suspend":\n`,
    to: "",
    check: "bareCopies"
  },
  {
    bug: "lose the times of a checkpoint's entries",
    file: "Checkpoint.ts",
    from: "since = millis - last",
    to: "since = 0",
    check: "copiesGoOn"
  },
  {
    bug: "give a copy another seed",
    file: "Opening.ts",
    from: "seed: prefix?.seed ?? drawn",
    to: "seed: drawn",
    check: "copiesGoOn"
  },
  {
    bug: "copy no events that wait to be taken",
    file: "Cut.ts",
    from: `case "intent":\n`,
    to: `case "intent":\n    case "event":\n`,
    check: "copiesGoOn"
  },
  {
    bug: "begin with a checkpoint without replaying it",
    file: "Turn.ts",
    from: "if (machine.diverged !== undefined) {",
    to: "if (false) {",
    check: "refusedWhole"
  },
  {
    bug: "write what is copied before it is replayed",
    file: "Turn.ts",
    from: "const machine = position.machine\n",
    to: `if (opened !== undefined) {
      yield* Effect.scoped(
        Effect.flatMap(storage.writer(loaded), (writer) => writer.append(begun!.stamp, opened))
      )
    }
    const machine = position.machine\n`,
    check: "refusedWhole"
  },
  // forks
  {
    bug: "post to the run that is forked",
    file: "workflow/Calls.ts",
    from: "(run) => neverRefused(drive(run, calling))",
    to: "(run) => Effect.andThen(Runs.cancel(runId), neverRefused(drive(run, calling)))",
    check: "forksCopy"
  },
  {
    bug: "open a session of the run that is forked",
    file: "Turn.ts",
    from: "const machine = position.machine\n",
    to: `if (begin?.prefix !== undefined) {
      const source = yield* storage.read(begin.prefix.runId)
      const { incarnation, session } = source.journal.head
      yield* Effect.scoped(Effect.flatMap(storage.writer(source), (writer) =>
        writer.append(
          { incarnation, session: session + 1, writer: "other" },
          [Journal.stamped({ type: "start" }, timestamp)]
        )))
    }
    const machine = position.machine\n`,
    check: "forksCopy"
  },
  {
    bug: "copy one entry too many",
    file: "Cut.ts",
    from: "entries.slice(1, offset)",
    to: "entries.slice(1, offset + 1)",
    check: "forksCopy"
  },
  {
    bug: "copy one entry too few",
    file: "Cut.ts",
    from: "entries.slice(1, offset)",
    to: "entries.slice(1, offset - 1)",
    check: "forksCopy"
  },
  {
    bug: "override another step than the one that is named",
    file: "Override.ts",
    from: "results.set(id, encoded.json)",
    to: "results.set(outcomes[0]!.stepId, encoded.json)",
    check: "overrides"
  },
  {
    bug: "merge a pipeline's override into its first step",
    file: "Override.ts",
    from: "entries.findLastIndex(",
    to: "entries.findIndex(",
    check: "overrides"
  },
  {
    bug: "keep what was undone when a failed run is retried",
    file: "Fork.ts",
    from: "return kept.length === 0",
    to: "return kept.length >= 0",
    check: "undoneStays"
  },
  {
    bug: "take a run that was cut elsewhere for the new one",
    file: "Opening.ts",
    from: "begin.prefix === undefined || recorded === seen",
    to: "recorded !== undefined",
    check: "sourcesDiffer"
  },
  {
    bug: "take a run with other overrides for the new one",
    file: "Opening.ts",
    from: "source.override === undefined",
    to: "source.override !== null",
    check: "sourcesDiffer"
  },
  // pipelines
  {
    bug: "merge what is not journaled",
    file: "pipeline/Work.ts",
    from: "return out === undefined ? undefined : fields",
    to: "context.merge(fields)\n    return undefined",
    check: "pipelinesReplay"
  },
  {
    bug: "ask a condition again",
    file: "pipeline/Body.ts",
    from: "if (runs !== true) continue",
    to:
      `if (runs !== true || (typeof condition === "function" && !condition(context.view))) continue`,
    check: "conditionsOnce"
  },
  {
    bug: "take the branch that the conditions name now",
    file: "pipeline/Body.ts",
    from: "step.cases.find(({ label }) => label === chosen)",
    to: "step.cases.find(({ when }) => when === undefined || when(context.view))",
    check: "branchesStay"
  },
  {
    bug: "let a step set a field of the context",
    file: "pipeline/Context.ts",
    from: "set: (_, key) => refuse(key)",
    to: "set: (fields, key, value) => Reflect.set(fields, key, value)",
    check: "contextsStay"
  },
  {
    bug: "let a step change what is in the context",
    file: "pipeline/Context.ts",
    from: "freeze(Reflect.get(fields, key))",
    to: "Reflect.get(fields, key)",
    check: "contextsStay"
  },
  {
    bug: "apply the merge policy when a step is replayed",
    file: "pipeline/Body.ts",
    from: "else context.merge(given)",
    to:
      "else context.merge(effective(context, given === undefined ? [] : [given], step.mergePolicy).patch)",
    check: "policiesOnce"
  },
  {
    bug: "call what an open circuit guards",
    file: "pipeline/Circuits.ts",
    from: "breaker.execute(called, { key: step })",
    to: "called",
    check: "circuitsOpen"
  },
  {
    bug: "let a timeout be of all attempts together",
    file: "Perform.ts",
    from: "limited(work, Duration.fromInputUnsafe(timeout),",
    to: `limited(
            work,
            Duration.millis(
              Duration.toMillis(Duration.fromInputUnsafe(timeout))
                - (clock.currentTimeMillisUnsafe()
                  - ((identity as any).began ??= clock.currentTimeMillisUnsafe()))
            ),`,
    check: "timeoutsEach"
  },
  {
    bug: "leave the last step out of a pipeline's checkpoint",
    file: "pipeline/Body.ts",
    from: "definition.steps.slice(0, over)",
    to: "definition.steps.slice(0, Math.max(0, over - 1))",
    check: "basesHold"
  },
  {
    bug: "do not compare the steps of a pipeline's checkpoint",
    file: "pipeline/Builder.ts",
    from: "refusesBase(definition, base)",
    to: "undefined",
    check: "basesHold"
  },
  {
    bug: "count the names of steps anew behind a checkpoint",
    file: "Machine.ts",
    from: "this.countFrom(begin.base?.counts ?? {})",
    to: "",
    check: "countsGoOn"
  },
  {
    bug: "let a nested pipeline begin with nothing",
    file: "pipeline/Context.ts",
    from: "new Context({ ...this.fields }, this.exposed, true)",
    to: "new Context({}, this.exposed, true)",
    check: "nestedContexts"
  },
  {
    bug: "lose what a nested pipeline gave",
    file: "pipeline/Body.ts",
    from: "return context.changes()",
    to: "return {}",
    check: "nestedContexts"
  },
  {
    bug: "show the outer context inside of a nested pipeline",
    file: "pipeline/Context.ts",
    from: "this.exposed.context = this.fields",
    to: "if (this.base === undefined) this.exposed.context = this.fields",
    check: "nestedContexts"
  }
]
