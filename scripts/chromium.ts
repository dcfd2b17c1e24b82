/** Debian's Chromium: where it is, and how it is started without a display, a sandbox of its own, or calls home. */
import { existsSync } from "node:fs"

/** Undefined where there is none. */
export const executablePath = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome"
].find((path) => existsSync(path))

export const args = [
  // Tests in a container run as root.
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync"
]
