/** The address of what is shown, in the fragment: the server never sees it, and no link leads elsewhere. */
import { useEffect, useState } from "preact/hooks"

export type Tab = "timeline" | "journal" | "diff"

export interface ListRoute {
  readonly page: "list"
  readonly status?: string | undefined
  readonly workflow?: string | undefined
  readonly search?: string | undefined
}

export interface RunRoute {
  readonly page: "run"
  readonly runId: string
  readonly tab: Tab
  /** What is opened: the id of a step, or the offset of an entry. */
  readonly open?: string | undefined
  /** The run that it is compared with. */
  readonly other?: string | undefined
}

export type Route = ListRoute | RunRoute

const encode = (text: string) => encodeURIComponent(text.toWellFormed())

const decode = (text: string) => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export const parse = (hash: string): Route => {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s)
  const given = new URLSearchParams(search)
  const of = (name: string) => given.get(name) ?? undefined
  const [page, runId, tab] = path.split("/")
  if (page === "runs" && runId !== undefined && runId !== "") {
    return {
      page: "run",
      runId: decode(runId),
      tab: tab === "journal" || tab === "diff" ? tab : "timeline",
      open: of("open"),
      other: of("with")
    }
  }
  return { page: "list", status: of("status"), workflow: of("workflow"), search: of("search") }
}

export const format = (route: Route): string => {
  const given = (fields: Readonly<Record<string, string | undefined>>) => {
    const all = Object.entries(fields).flatMap(([name, value]) =>
      value === undefined || value === "" ? [] : [`${name}=${encode(value)}`]
    )
    return all.length === 0 ? "" : `?${all.join("&")}`
  }
  if (route.page === "list") {
    const { search, status, workflow } = route
    return `#/${given({ status, workflow, search })}`
  }
  const { open, other, runId, tab } = route
  const behind = tab === "timeline" ? "" : `/${tab}`
  return `#/runs/${encode(runId)}${behind}${given({ open, with: other })}`
}

export const toRun = (runId: string): string => format({ page: "run", runId, tab: "timeline" })

/** Shows `route`; with `isSame` the way back does not lead over what is shown now. */
export const go = (route: Route, isSame = false): void => {
  const hash = format(route)
  if (isSame) {
    history.replaceState(null, "", hash)
    dispatchEvent(new HashChangeEvent("hashchange"))
  } else location.hash = hash
}

/** The list as it was last looked at: the way back to it. */
let list: ListRoute = { page: "list" }
export const lastList = (): ListRoute => list

export const useRoute = (): Route => {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const changed = () => setHash(location.hash)
    changed()
    addEventListener("hashchange", changed)
    return () => removeEventListener("hashchange", changed)
  }, [])
  const route = parse(hash)
  if (route.page === "list") list = route
  return route
}
