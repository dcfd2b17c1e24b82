/** What the `reprise` command drives tickets with: the workflow, and what it needs. `reprise.json` names this file. */
export { layerKeywords as layer } from "./classifier.ts"
export { triage } from "./workflow.ts"
