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
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})
