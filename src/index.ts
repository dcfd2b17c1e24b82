/**
 * The main entry: namespaces, and `createRunId`. It loads nothing of the optional parts.
 */
export * as Checkpoint from "./Checkpoint.ts"
export * as Dispatch from "./Dispatch.ts"
export * as Instruction from "./Instruction.ts"
export * as Journal from "./Journal.ts"
export * as Pipeline from "./Pipeline.ts"
export * as Replay from "./Replay.ts"
export { createRunId } from "./RunId.ts"
export * as RunLog from "./RunLog.ts"
export * as Runs from "./Runs.ts"
export * as Schedules from "./Schedules.ts"
export * as Storage from "./Storage.ts"
export * as JournalCodec from "./storage/JournalCodec.ts"
export * as LocalStorage from "./storage/LocalStorage.ts"
export * as Worker from "./Worker.ts"
export * as Workflow from "./Workflow.ts"
