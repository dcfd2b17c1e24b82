/**
 * The context of a pipeline while it runs: what the steps gave, merged, and only ever changed here.
 *
 * Steps are shown it through a view that refuses to be changed, since what a step did to it would be lost
 * in a replay. What it looks at is frozen, so nothing is ever copied: a step costs what it gives and looks
 * at, not what the context holds.
 */
import { equals } from "../internal/json.ts"
import { put } from "../internal/put.ts"
import type { Exposed } from "../Machine.ts"
import type { Fields, MergePolicy } from "./Types.ts"

const refuse = (key: string | symbol): never => {
  throw new TypeError(
    `The context is read-only: to change "${String(key)}", return it from the step, as in ({ ${
      String(key)
    }: … })`
  )
}

const handler: ProxyHandler<Record<string, unknown>> = {
  get: (fields, key) => freeze(Reflect.get(fields, key)),
  set: (_, key) => refuse(key),
  deleteProperty: (_, key) => refuse(key),
  defineProperty: (_, key) => refuse(key),
  setPrototypeOf: () => refuse("prototype"),
  preventExtensions: () => refuse("extensions")
}

const freeze = <A>(value: A): A => {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value
  for (const key of Object.keys(value)) freeze((value as Record<string, unknown>)[key])
  return Object.freeze(value)
}

/** The context of one pipeline, or of one that is nested in it. */
export class Context {
  /** What steps are shown. */
  view: Fields
  private fields: Record<string, unknown>
  private readonly exposed: Exposed
  /** What was there when a nested pipeline began. */
  private readonly base: Fields | undefined
  private touched = new Set<string>()

  /** Takes `fields` over, which nobody else has. */
  constructor(fields: Record<string, unknown>, exposed: Exposed, isNested: boolean) {
    this.exposed = exposed
    this.fields = fields
    this.base = isNested ? { ...fields } : undefined
    this.view = new Proxy(this.fields, handler)
    this.show()
  }

  /** Lets those who look at the run from outside see this context. */
  show(): void {
    this.exposed.context = this.fields
  }

  /** Lets those who look from outside know since when (UTC milliseconds) what ends now went on. */
  ended(stepId: string, began: number): void {
    this.exposed.ending = { stepId, began }
  }

  /** A context for a pipeline that is nested here. */
  nested(): Context {
    return new Context({ ...this.fields }, this.exposed, true)
  }

  /** Whether a merge policy has a say in the key. */
  isKept(key: string): boolean {
    return this.has(key) && this.exposed.base?.overridden?.includes(key) !== true
  }

  /** All of it, as it is: not to be changed. */
  get all(): Fields {
    return this.fields
  }

  has(key: string): boolean {
    return Object.hasOwn(this.fields, key)
  }

  merge(patch: Fields | undefined): void {
    if (patch !== undefined) {
      for (const key of Object.keys(patch)) {
        put(this.fields, key, patch[key])
        if (this.base !== undefined) this.touched.add(key)
      }
    }
    this.show()
  }

  /** Takes another context in place of this one. */
  replace(fields: Fields): void {
    this.fields = {}
    this.view = new Proxy(this.fields, handler)
    this.touched = new Set()
    this.merge(fields)
  }

  /** What the nested pipeline changed of what it was given, and added to it. */
  changes(): Fields {
    const patch: Record<string, unknown> = {}
    for (const key of this.touched) {
      if (Object.hasOwn(this.base!, key) && equals(this.base![key], this.fields[key])) continue
      put(patch, key, this.fields[key])
    }
    return patch
  }
}

/** A key that may not be given twice was. */
export class KeyCollision extends Error {
  override readonly name = "KeyCollision"
  constructor(key: string) {
    super(
      `the context has "${key}" already, and mergePolicy is "error": give it another name, or choose another policy`
    )
  }
}

/** What is merged of `outputs`, given in their order; `collided` are keys that were there already. */
export const effective = (
  context: Pick<Context, "isKept">,
  outputs: ReadonlyArray<Fields>,
  policy: MergePolicy
): { readonly patch: Fields | undefined; readonly collided: ReadonlyArray<string> } => {
  const [only] = outputs
  if (only === undefined) return { patch: undefined, collided: [] }
  if (policy === "override" && outputs.length === 1) return { patch: only, collided: [] }
  const patch: Record<string, unknown> = {}
  const collided: Array<string> = []
  for (const output of outputs) {
    for (const key of Object.keys(output)) {
      if (context.isKept(key) || Object.hasOwn(patch, key)) {
        if (policy === "error") throw new KeyCollision(key)
        if (policy === "warn") collided.push(key)
        if (policy === "skip") continue
      }
      put(patch, key, output[key])
    }
  }
  return { patch, collided }
}
