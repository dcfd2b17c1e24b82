/**
 * The compile-time half of strict JSON: names what a type holds that JSON cannot.
 *
 * Bounded in depth, so recursive types end; `any` and what no type shows (class instances with plain
 * fields, NaN, -0, `undefined` in arrays) are left to the check at run time.
 */
type IsAny<T> = 0 extends 1 & T ? true : false

/** `Below[n]` is n - 1; below 0 nothing is looked at any more. */
type Below = [never, 0, 1, 2, 3, 4, 5]

/** `never` when JSON can hold an `A`, else the names of what it cannot hold. */
export type Unsafe<A, Depth extends number = 6> = IsAny<A> extends true ? never
  : [Depth] extends [never] ? never
  : unknown extends A ? "unknown"
  : A extends null | undefined | void | boolean | number | string ? never
  : A extends bigint ? "a bigint"
  : A extends symbol ? "a symbol"
  : A extends Date ? "a Date"
  : A extends ReadonlyMap<infer _K, infer _V> ? "a Map"
  : A extends ReadonlySet<infer _T> ? "a Set"
  : A extends Generator<infer _Y, infer _A, infer _N>
    ? "a generator (use Effect.fn for a generator function)"
  : A extends ArrayBuffer | ArrayBufferView ? "bytes"
  : A extends (...args: infer _P) => infer _R ? "a function"
  : A extends ReadonlyArray<infer Item> ? Unsafe<Item, Below[Depth]>
  : A extends object ? {
      [K in keyof A]-?: K extends symbol ? "a symbol key"
        : Exclude<A[K], undefined | null> extends infer Field ? IsAny<Field> extends true ? never
          : [Field] extends [never] ? never
          : Field extends (...args: infer _P) => infer _R ? "an object with methods"
          : Unsafe<Field, Below[Depth]>
        : never
    }[keyof A]
  : never
