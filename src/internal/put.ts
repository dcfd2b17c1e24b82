/**
 * Sets a property by a name that comes from outside: assigning to `__proto__` would set the prototype.
 */
export const put = (to: object, key: string, value: unknown): void => {
  if (key !== "__proto__") (to as Record<string, unknown>)[key] = value
  else {
    Object.defineProperty(to, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true
    })
  }
}
