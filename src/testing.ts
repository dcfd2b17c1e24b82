/**
 * The test kit: layers to swap, and functions that play, break and compare runs. It knows no test runner.
 */
export * from "./testing/Compatibility.ts"
export * from "./testing/Contract.ts"
export { crashEverywhere, type CrashOptions, type CrashReport } from "./testing/Crash.ts"
export { CrashDiffers, type CrashMode, StepRepeated } from "./testing/CrashErrors.ts"
export type * from "./testing/Fate.ts"
export * from "./testing/Faults.ts"
export * from "./testing/Fixture.ts"
export { guarded, layer, unguarded } from "./testing/Layers.ts"
export * from "./testing/Permute.ts"
export { play, type PlayError, type PlayOptions, type Scripted } from "./testing/Play.ts"
export { NoJournal, type RecordedJournal } from "./testing/Recorded.ts"
export { skipTime } from "./testing/SkipTime.ts"
