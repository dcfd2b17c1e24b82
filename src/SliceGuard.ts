/**
 * The slice guard: wrappers around what a body must not ask for between two yields, since a replay would
 * get another answer. Installed once, for the whole process, when the first guarded body runs.
 *
 * A slice is synchronous, so a flag that is up only while a body runs tells its calls from everybody
 * else's: outside of slices the wrappers hand on. What a module took hold of before they were installed
 * escapes them; the shadow replay finds that.
 */
import { slice } from "./internal/slice.ts"

let isInstalled = false

const refuse = (call: string, instead: string): never => {
  const error = new Error(`${call} in a workflow body`)
  slice.violation ??= { call, instead, error }
  throw error
}

type Fields = Record<string, unknown>

/** Puts a wrapper in the place of a function, where there is one. */
const wrap = (owner: unknown, key: string, call: string, instead: string): void => {
  if ((typeof owner !== "object" && typeof owner !== "function") || owner === null) return
  const original = (owner as Fields)[key]
  if (typeof original !== "function") return
  const wrapper = new Proxy(original, {
    apply: (target, self, args) =>
      slice.isOpen ? refuse(call, instead) : Reflect.apply(target, self, args)
  })
  Object.defineProperty(owner, key, {
    value: wrapper,
    configurable: true,
    writable: true,
    enumerable: Object.prototype.propertyIsEnumerable.call(owner, key)
  })
}

const time = "yield* ctx.now"
const chance = "yield* ctx.random or ctx.uuid"
const step = "a step: yield* ctx.step(name, () => …)"
const timer = "yield* ctx.sleep(duration)"

/** Installs the wrappers; does nothing when they are there. */
export const install = (): void => {
  if (isInstalled) return
  isInstalled = true
  const global = globalThis as unknown as Fields
  const RealDate = Date
  wrap(RealDate, "now", "Date.now()", time)
  global.Date = new Proxy(RealDate, {
    apply: (target, self, args) =>
      slice.isOpen ? refuse("Date()", time) : Reflect.apply(target, self, args),
    construct: (target, args, newTarget) =>
      slice.isOpen && args.length === 0
        ? refuse("new Date()", time)
        : Reflect.construct(target, args, newTarget === global.Date ? target : newTarget)
  })
  // Who asks a date for its constructor is told the one that there is.
  Object.defineProperty(RealDate.prototype, "constructor", {
    value: global.Date,
    configurable: true,
    writable: true
  })
  wrap(Math, "random", "Math.random()", chance)
  for (const key of ["randomUUID", "getRandomValues"]) {
    wrap(global.crypto, key, `crypto.${key}()`, chance)
  }
  wrap(global.performance, "now", "performance.now()", time)
  wrap(global, "fetch", "fetch()", step)
  for (const key of ["setTimeout", "setInterval", "setImmediate"]) {
    wrap(global, key, `${key}()`, timer)
  }
  const { process } = global as { readonly process?: { readonly hrtime?: unknown } }
  wrap(process?.hrtime, "bigint", "process.hrtime.bigint()", time)
  wrap(process, "hrtime", "process.hrtime()", time)
}
