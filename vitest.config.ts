import { tmpdir } from "node:os"
import { join } from "node:path"
import { defineConfig } from "vitest/config"

export default defineConfig({
  // "reprise" means src, as in tsconfig.json; the others are Vite's own defaults.
  ssr: { resolve: { conditions: ["reprise-source", "module", "node", "development|production"] } },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    typecheck: { include: ["test/types/**/*.test-d.ts"], tsconfig: "tsconfig.json" },
    globalSetup: "test/globalSetup.ts",
    // Processes, not threads: tests may change directory and send signals.
    pool: "forks",
    // By itself one processor is kept free, which on two is half of them.
    maxWorkers: "100%",
    // Hundreds of processes load the same files: those that have been compiled are kept between them.
    env: { NODE_COMPILE_CACHE: join(tmpdir(), "node-compile-cache") },
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})
