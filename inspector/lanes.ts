/**
 * The lines of a timeline: instructions by their place, which their structural ids tell
 * (`fan[us]/charge` is `charge` in branch `us` of `fan`). Pure.
 */
import type { Item } from "./types.ts"

/** An instruction, or a fan or branch with all instructions below it. */
export interface Lane {
  /** No other line has it. */
  readonly key: string
  /** Of an instruction the id of its step; of a fan or branch its key. */
  readonly id: string
  readonly depth: number
  /** The branch that the instruction is alone in. */
  readonly branch?: string
  readonly label: string
  readonly item?: Item
  readonly below?: ReadonlyArray<Item>
  /** How many branches a fan has. */
  readonly branches?: number
}

interface Node {
  readonly id: string
  readonly label: string
  readonly isBranch: boolean
  readonly item?: Item
  readonly children: Map<string, Node>
}

/** Names stand in ids with what would be structure escaped. */
export const unescape = (text: string): string =>
  text.replace(
    /%([0-9a-f]{2})/g,
    (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))
  )

/** The name of an instruction, without its place. */
export const nameOf = (stepId: string): string =>
  unescape(stepId.slice(stepId.lastIndexOf("/") + 1))

const child = (parent: Node, key: string, made: Omit<Node, "children">): Node => {
  const known = parent.children.get(key)
  if (known !== undefined) return known
  const fresh = { ...made, children: new Map<string, Node>() }
  parent.children.set(key, fresh)
  return fresh
}

const tree = (items: ReadonlyArray<Item>): Node => {
  const root: Node = { id: "", label: "", isBranch: false, children: new Map() }
  for (const item of items) {
    const { stepId } = item
    let parent = root
    let from = 0
    for (let to = stepId.indexOf("/"); to >= 0; to = stepId.indexOf("/", from)) {
      const part = stepId.slice(from, to)
      const at = part.indexOf("[")
      const fan = at < 0 ? part : part.slice(0, at)
      const path = stepId.slice(0, from)
      parent = child(parent, fan, {
        id: `fan ${path}${fan}`,
        label: unescape(fan),
        isBranch: false
      })
      const key = at < 0 ? "" : part.slice(at + 1, part.endsWith("]") ? -1 : undefined)
      parent = child(parent, part, {
        id: `branch ${path}${part}`,
        label: unescape(key),
        isBranch: true
      })
      from = to + 1
    }
    // No fan or branch has a key like this.
    child(parent, `/${stepId.slice(from)}`, {
      id: stepId,
      label: unescape(stepId.slice(from)),
      isBranch: false,
      item
    })
  }
  return root
}

const itemsOf = (node: Node): ReadonlyArray<Item> =>
  node.item === undefined ? [...node.children.values()].flatMap(itemsOf) : [node.item]

/** Lines in the order of the journal; those below a closed fan or branch are left out. */
export const lanes = (
  items: ReadonlyArray<Item>,
  closed: ReadonlySet<string> = new Set()
): ReadonlyArray<Lane> => {
  const lines: Array<Lane> = []
  const add = (node: Node, depth: number): void => {
    for (const one of node.children.values()) {
      const { children, id, isBranch, item, label } = one
      if (item !== undefined) {
        lines.push({ key: `step ${id}`, id, depth, label, item })
        continue
      }
      const [only, ...others] = children.values()
      if (isBranch && others.length === 0 && only?.item !== undefined) {
        lines.push({
          key: `step ${only.id}`,
          id: only.id,
          depth,
          branch: label,
          label: only.label,
          item: only.item
        })
        continue
      }
      lines.push({
        key: id,
        id,
        depth,
        label,
        below: itemsOf(one),
        ...(isBranch ? { branch: label } : { branches: children.size })
      })
      if (!closed.has(id)) add(one, depth + 1)
    }
  }
  add(tree(items), 0)
  return lines
}
