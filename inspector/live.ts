/**
 * What the server tells as it happens: a stream of events, read from fetch since it needs a header, and
 * polls for as long as there is none. A page that nobody sees holds no connection.
 */
import { Problem, problemOf, request, respond } from "./api.ts"
import { connection } from "./store.ts"

export interface Watch<A> {
  readonly stream: string
  readonly poll: string
  readonly onData: (data: A) => void
  readonly onProblem?: (problem: Problem) => unknown
  /** Whether nothing comes behind this. */
  readonly isOver?: (data: A) => boolean
}

const pollEvery = 2_000
const longest = 30_000
/** A stream that says nothing for so long is taken for one whose other end is gone. */
const silence = 45_000

/** The data of the events of a stream; `onBytes` hears of every sign of life. */
async function* events(response: Response, onBytes: () => void): AsyncGenerator<string> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let parts: Array<string> = []
  let rest = ""
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      onBytes()
      const lines = (rest + value).split(/\r\n|\n|\r/)
      rest = lines.pop()!
      for (const line of lines) {
        if (line.startsWith("data:")) parts.push(line.slice(line[5] === " " ? 6 : 5))
        else if (line === "" && parts.length > 0) {
          yield parts.join("\n")
          parts = []
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

const sleep = (millis: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, millis)
    signal.addEventListener("abort", () => {
      clearTimeout(timer)
      resolve()
    })
  })

/** Until the page is seen. */
const seen = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (!document.hidden) return resolve()
    document.addEventListener("visibilitychange", () => resolve(), { once: true, signal })
    signal.addEventListener("abort", () => resolve())
  })

const run = async <A>(watch: Watch<A>, signal: AbortSignal) => {
  let isOver = false
  let failures = 0
  const take = (data: A) => {
    if (signal.aborted) return
    failures = 0
    isOver = watch.isOver?.(data) === true
    watch.onData(data)
  }
  const stream = async () => {
    const hidden = new AbortController()
    const gone = new AbortController()
    const all = AbortSignal.any([signal, hidden.signal, gone.signal])
    const ended = new AbortController()
    const on = { signal: ended.signal }
    document.addEventListener("visibilitychange", () => document.hidden && hidden.abort(), on)
    addEventListener("offline", () => gone.abort(), on)
    // Something on the way may hold the stream back.
    const late = setTimeout(() => {
      request<A>(watch.poll, { signal: all }).then(take).catch(() => undefined)
    }, 4_000)
    let quiet = 0
    const onBytes = () => {
      clearTimeout(quiet)
      quiet = window.setTimeout(() => gone.abort(), silence)
    }
    try {
      const response = await respond(watch.stream, { accept: "text/event-stream", signal: all })
      onBytes()
      for await (const data of events(response, onBytes)) {
        clearTimeout(late)
        if (!all.aborted) connection.set("live")
        take(JSON.parse(data) as A)
      }
    } catch (error) {
      if (gone.signal.aborted) throw new Problem(0, "The server is not reachable", "")
      if (!hidden.signal.aborted) throw error
    } finally {
      clearTimeout(late)
      clearTimeout(quiet)
      ended.abort()
    }
  }
  while (!signal.aborted && !isOver) {
    await seen(signal)
    let wait = 1_000
    try {
      await stream()
      failures = 0
    } catch (error) {
      if (signal.aborted) return
      const failed = problemOf(error)
      if (failed.status === 401) return
      wait = Math.min(longest, pollEvery * 2 ** failures++)
      try {
        if (failed.status === 0 || failed.retryAfter === undefined) {
          take(await request<A>(watch.poll, { signal }))
          connection.set("polling")
          wait = pollEvery
        } else {
          connection.set("polling")
          wait = failed.retryAfter
        }
      } catch (error) {
        if (signal.aborted) return
        const problem = problemOf(error)
        connection.set(problem.status === 0 ? "lost" : "polling")
        wait = Math.max(wait, problem.retryAfter ?? 0)
        watch.onProblem?.(problem)
        if (problem.status === 401 || problem.status === 404) return
      }
    }
    if (!isOver) await sleep(wait, signal)
  }
  if (isOver && !signal.aborted) connection.set("ended")
}

/** Tells `onData` now and at every change, until what it returns is called. */
export const live = <A>(watch: Watch<A>): () => void => {
  const stop = new AbortController()
  connection.set("connecting")
  void run(watch, stop.signal)
  return () => stop.abort()
}
