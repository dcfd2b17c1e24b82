/** The page: who is asking, where they are, and what they see there. */
import { type JSX, render } from "preact"
import { useEffect, useState } from "preact/hooks"
import { problemOf, refused, request, session, signIn, signOut, token } from "./api.ts"
import { Dialog } from "./dialog.tsx"
import { Mark } from "./icons.tsx"
import { keys, useKeys } from "./keys.ts"
import { List } from "./list.tsx"
import { format, lastList, useRoute } from "./route.ts"
import { Run } from "./run.tsx"
import { announce, type Connection, connection, notice, useCell } from "./store.ts"
import type { Session } from "./types.ts"
import { Button, Text } from "./ui.tsx"

const App = (): JSX.Element => {
  const held = useCell(token)
  const route = useRoute()
  const [showsKeys, setShowsKeys] = useState(false)
  useSession(held)
  useKeys((key) => {
    if (key !== "?") return false
    setShowsKeys(true)
    return true
  })
  useEffect(() => {
    if (route.page === "list") document.title = "Runs · reprise"
  }, [route.page])
  return (
    <>
      <Bar onKeys={() => setShowsKeys(true)} isIn={held !== ""} />
      {held === ""
        ? <SignIn />
        : route.page === "list"
        ? <List key={held} route={route} />
        : <Run key={`${held} ${route.runId}`} route={route} />}
      <Notice />
      {showsKeys ? <Keys onClose={() => setShowsKeys(false)} /> : null}
    </>
  )
}

/** What the token may do; asked for again until there is an answer. */
const useSession = (held: string) =>
  useEffect(() => {
    if (held === "") return
    const stop = new AbortController()
    let timer = 0
    const ask = () =>
      void request<Session>("/api/session", { signal: stop.signal }).then(session.set, (error) => {
        const { retryAfter, status } = problemOf(error)
        if (stop.signal.aborted || status === 401) return
        timer = window.setTimeout(ask, retryAfter ?? 3_000)
      })
    ask()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [held])

const told: Record<Connection, string> = {
  connecting: "Connecting",
  live: "Live",
  polling: "Every 2 s",
  lost: "Not reachable, trying again",
  ended: "Up to date"
}

const Bar = ({ isIn, onKeys }: {
  readonly isIn: boolean
  readonly onKeys: () => void
}): JSX.Element => {
  const who = useCell(session)
  const state = useCell(connection)
  return (
    <header class="bar">
      <a class="brand" href="#/">
        <Mark />
        reprise
      </a>
      <nav aria-label="Pages">
        <a href={format(lastList())}>Runs</a>
      </nav>
      <span class="room" />
      {isIn
        ? (
          <>
            <span class="connection" data-state={state} role="status">
              <span class="dot" aria-hidden="true" />
              {told[state]}
            </span>
            {who === undefined ? null : (
              <span class="who">
                <Text text={who.name} max={40} /> <span class="aside">{who.scopes.join(", ")}</span>
              </span>
            )}
            <Button kind="quiet" title="Forget the token" onAct={() => signOut()}>Sign out</Button>
          </>
        )
        : null}
      <Button kind="quiet" aria-label="Keys" title="Keys (?)" onAct={onKeys}>?</Button>
    </header>
  )
}

const SignIn = (): JSX.Element => {
  const [text, setText] = useState("")
  const why = useCell(refused)
  return (
    <main class="page narrow">
      <form
        class="card"
        aria-labelledby="sign-in"
        onSubmit={(event) => {
          event.preventDefault()
          if (text.trim() !== "") signIn(text.trim())
        }}
      >
        <h1 id="sign-in">Sign in</h1>
        <p class="note">
          The server asks for a token. <code>reprise ui</code> prints an address that has one.
        </p>
        {why === undefined ? null : (
          <p class="mistake" role="alert">
            <Text text={why} max={600} />
          </p>
        )}
        <div class="field">
          <label for="token">Token</label>
          <input
            id="token"
            type="password"
            class="mono"
            autocomplete="off"
            spellcheck={false}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </div>
        <footer class="actions">
          <Button type="submit" kind="main">Sign in</Button>
        </footer>
      </form>
    </main>
  )
}

/** The result of the last action; it stays until it is closed, or for a while. */
const Notice = (): JSX.Element => {
  const now = useCell(notice)
  useEffect(() => {
    if (now === undefined || now.isProblem) return
    const timer = setTimeout(() => notice.set(undefined), 8_000)
    return () => clearTimeout(timer)
  }, [now])
  return (
    <div class="notices" aria-live="polite">
      {now === undefined ? null : (
        <div class={`notice ${now.isProblem ? "problem" : ""}`}>
          <Text text={now.text} max={400} />
          <button
            type="button"
            class="button quiet"
            aria-label="Dismiss"
            onClick={() => notice.set(undefined)}
          >
            ✕
          </button>
        </div>
      )}
    </div>
  )
}

const Keys = ({ onClose }: { readonly onClose: () => void }): JSX.Element => (
  <Dialog title="Keys" onClose={onClose}>
    <dl class="keys">
      {keys.map(([key, does]) => (
        <div key={key}>
          <dt>
            {key.split(/(, | or )/).map((part, i) =>
              i % 2 === 0 ? <kbd key={i}>{part}</kbd> : part
            )}
          </dt>
          <dd>{does}</dd>
        </div>
      ))}
    </dl>
  </Dialog>
)

// A promise that nobody looked after is a mistake of this page: it is better said than lost.
addEventListener("unhandledrejection", ({ reason }) => announce(String(reason), true))

render(<App />, document.getElementById("app")!)
