/**
 * Name and message of anything that was thrown or failed with: bounded, and total, since a getter may
 * throw, an object may have no text, and a cause may be a cycle.
 */
const longest = 2000

const read = (u: unknown, key: string): string | undefined => {
  if (typeof u !== "object" || u === null) return undefined
  try {
    const value: unknown = Reflect.get(u, key)
    return typeof value === "string" && value !== "" ? value.slice(0, longest) : undefined
  } catch {
    return undefined
  }
}

const text = (u: unknown): string => {
  try {
    return (typeof u === "object" && u !== null ? JSON.stringify(u) : String(u)).slice(0, longest)
  } catch {
    return "something that cannot be shown"
  }
}

export const describe = (error: unknown): { readonly tag: string; readonly message: string } => {
  const tag = read(error, "_tag") ?? read(error, "name")
    ?? (typeof error === "object" ? "Error" : typeof error)
  return { tag, message: read(error, "message") ?? text(error) }
}
