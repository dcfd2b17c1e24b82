/** Small drawings: the states of runs and of items, which never stand by colour alone, and the mark. */
import type { JSX } from "preact"
import type { Item, State } from "./types.ts"

const paths: Record<State | Item["state"] | "unreadable", string> = {
  pending: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M5 8h.01M8 8h.01M11 8h.01",
  running: "M8 2.5A5.5 5.5 0 1 1 2.5 8",
  suspended: "M5.5 3.5v9M10.5 3.5v9",
  blocked: "M8 2 14.5 13.5h-13zM8 6.5v3M8 11.7v.01",
  stopped: "M4 4h8v8H4z",
  success: "M3 8.5 6.5 12 13 4.5",
  failed: "M4 4l8 8M12 4l-8 8",
  cancelled: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M4.2 4.2l7.6 7.6",
  continued: "M3 4v3.5a2 2 0 0 0 2 2h8M10 6.5l3 3-3 3",
  done: "M3 8.5 6.5 12 13 4.5",
  waiting: "M5.5 3.5v9M10.5 3.5v9",
  retrying: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  unknown: "M5.5 6a2.5 2.5 0 1 1 3.6 2.2c-.7.4-1.1.8-1.1 1.6M8 12.7v.01",
  dropped: "M3.5 8h9",
  unreadable: "M8 2 14.5 13.5h-13zM8 6.5v3M8 11.7v.01"
}

export const Icon = ({ of }: { readonly of: keyof typeof paths }): JSX.Element => (
  <svg class="icon" viewBox="0 0 16 16" width="12" height="12" aria-hidden="true">
    <path d={paths[of]} />
  </svg>
)

/** What the state is called. */
export const words: Record<keyof typeof paths, string> = {
  pending: "Pending",
  running: "Running",
  suspended: "Suspended",
  blocked: "Blocked",
  stopped: "Stopped",
  success: "Success",
  failed: "Failed",
  cancelled: "Cancelled",
  continued: "Continued",
  done: "Done",
  waiting: "Waiting",
  retrying: "Retrying",
  unknown: "Not known",
  dropped: "Dropped",
  unreadable: "Unreadable"
}

/** What it means, for those who ask. */
export const meanings: Record<State, string> = {
  pending: "Open, and no process drives it",
  running: "Open, and a process drives it",
  suspended: "Open, and only waits: for events, times or other runs",
  blocked: "Open, but it must not go on by itself: somebody has to decide",
  stopped: "A hook stopped it; it can go on",
  success: "Ended: its body returned",
  failed: "Ended: its body failed",
  cancelled: "Ended: cancelled, and cleaned up",
  continued: "Ended: it goes on as another run"
}

export const Chip = ({ state }: { readonly state: keyof typeof paths }): JSX.Element => (
  <span
    class="chip"
    data-state={state}
    title={state in meanings ? meanings[state as State] : undefined}
  >
    <Icon of={state} />
    {words[state]}
  </span>
)

/** A repeat sign: what the library does. */
export const Mark = (): JSX.Element => (
  <svg class="mark" viewBox="0 0 16 16" width="20" height="20" aria-hidden="true">
    <rect width="16" height="16" rx="4" />
    <path d="M4 3.5v9M6.5 3.5v9" />
    <circle cx="9.4" cy="6.2" r="1.05" />
    <circle cx="9.4" cy="9.8" r="1.05" />
  </svg>
)
