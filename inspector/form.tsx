/** The fields of a form, as its schema asks for them. */
import type { ComponentChildren, JSX } from "preact"
import { type Draft, empty, isPlain, type Mistake } from "./draft.ts"
import type { Field } from "./schema.ts"
import { preview, visible } from "./text.ts"
import { Text } from "./ui.tsx"

interface Props {
  readonly field: Field
  readonly draft: Draft
  readonly onChange: (draft: Draft) => void
  /** What it is called; the whole form has no name. */
  readonly name: string
  /** Where it stands, for what is wrong with it. */
  readonly path: string
  readonly id: string
  readonly mistakes: ReadonlyArray<Mistake>
  readonly isOptional?: boolean
}

/** What such a field is given has lines. */
const isProse = /note|comment|message|body|text|description|reason/i

const textOf = (draft: Draft) => draft.kind === "text" ? draft.text : ""

export const Fields = (props: Props): JSX.Element => {
  const { draft, field, id, isOptional = false, mistakes, name, onChange, path } = props
  const own = `${id}${path}`
  const wrong = mistakes.find((one) => one.path === path)
  const about = field.about
  const label = field.title ?? name
  const described = [
    ...(about === undefined ? [] : [`${own}-about`]),
    ...(wrong === undefined ? [] : [`${own}-wrong`])
  ].join(" ")
  const common = {
    id: own,
    "aria-invalid": wrong !== undefined,
    ...(described === "" ? undefined : { "aria-describedby": described })
  }
  const set = (text: string) => onChange({ kind: "text", text })
  const notes = (
    <>
      {about === undefined
        ? null
        : (
          <span class="note" id={`${own}-about`}>
            <Text text={about} max={600} />
          </span>
        )}
      {wrong === undefined
        ? null
        : <span class="mistake" id={`${own}-wrong`} role="alert">{wrong.text}</span>}
    </>
  )
  const labelled = (control: ComponentChildren, hint = "") => (
    <div class="field">
      <label for={own}>
        <Text text={label === "" ? "Value" : label} max={120} />
        {isOptional ? <span class="aside">optional</span> : null}
        {hint === "" ? null : <span class="aside">{hint}</span>}
      </label>
      {control}
      {notes}
    </div>
  )
  const group = (children: ComponentChildren) =>
    label === ""
      ? (
        <div class="fields">
          {children}
          {notes}
        </div>
      )
      : (
        <fieldset class="fields">
          <legend>
            <Text text={label} max={120} />
          </legend>
          {children}
          {notes}
        </fieldset>
      )

  switch (field.kind) {
    case "string":
      return labelled(
        (field.maxLength ?? 0) > 200 || isProse.test(name) || textOf(draft).includes("\n")
          ? (
            <textarea
              {...common}
              rows={Math.min(8, textOf(draft).split("\n").length + 1)}
              value={textOf(draft)}
              onInput={(event) => set(event.currentTarget.value)}
            />
          )
          : (
            <input
              {...common}
              type="text"
              value={textOf(draft)}
              onInput={(event) => set(event.currentTarget.value)}
            />
          )
      )
    case "number":
      return labelled(
        <input
          {...common}
          type="text"
          inputMode={field.isInteger ? "numeric" : "decimal"}
          value={textOf(draft)}
          onInput={(event) => set(event.currentTarget.value)}
        />,
        range(field)
      )
    case "boolean":
      return (
        <div class="field flag">
          <label for={own}>
            <input
              {...common}
              type="checkbox"
              checked={draft.kind === "flag" && draft.isOn}
              onChange={(event) => onChange({ kind: "flag", isOn: event.currentTarget.checked })}
            />
            <Text text={label === "" ? "Yes" : label} max={120} />
          </label>
          {notes}
        </div>
      )
    case "pick":
      return labelled(
        <select
          {...common}
          value={textOf(draft)}
          onChange={(event) => set(event.currentTarget.value)}
        >
          <option value="">{isOptional ? "None" : "Choose…"}</option>
          {field.options.map((option, i) => (
            <option key={i} value={String(i)}>
              {visible(typeof option === "string" ? option : preview(option))}
            </option>
          ))}
        </select>
      )
    case "const":
      return label === "" ? <>{notes}</> : (
        <div class="field">
          <span class="label">
            <Text text={label} max={120} />
          </span>
          <code>
            <Text text={preview(field.value)} />
          </code>
          {notes}
        </div>
      )
    case "json":
      return labelled(
        <textarea
          {...common}
          class="mono"
          rows={Math.min(14, Math.max(3, textOf(draft).split("\n").length))}
          spellcheck={false}
          placeholder="JSON"
          value={textOf(draft)}
          onInput={(event) => set(event.currentTarget.value)}
        />,
        path === "" ? "JSON; may be left empty" : "JSON"
      )
    case "object":
      return group(
        <Parts
          {...props}
          fields={field.fields}
          parts={draft.kind === "parts" ? draft.parts : []}
        />
      )
    case "tuple":
      return group(
        <Parts
          {...props}
          fields={field.items.map((field, i) => ({ name: String(i + 1), field }))}
          parts={draft.kind === "parts" ? draft.parts : []}
        />
      )
    case "list": {
      const parts = draft.kind === "parts" ? draft.parts : []
      return group(
        <>
          <Parts
            {...props}
            fields={parts.map((_, i) => ({ name: `${label} ${i + 1}`.trim(), field: field.items }))}
            parts={parts}
            onRemove={(i) => onChange({ kind: "parts", parts: parts.toSpliced(i, 1) })}
          />
          <button
            type="button"
            class="button small"
            disabled={parts.length >= field.max}
            aria-label={`Add to ${label === "" ? "the list" : visible(label)}`}
            onClick={() => onChange({ kind: "parts", parts: [...parts, empty(field.items)] })}
          >
            Add
          </button>
        </>
      )
    }
    case "maybe": {
      const inner = draft.kind === "maybe" ? draft.inner : empty(field.inner)
      const isOn = draft.kind === "maybe" && draft.isOn
      const shown = (
        <Fields
          {...props}
          field={about === undefined ? field.inner : { ...field.inner, about }}
          draft={inner}
          isOptional
          onChange={(inner) => onChange({ kind: "maybe", isOn: true, inner })}
        />
      )
      if (isPlain(field.inner)) return shown
      return (
        <div class="maybe">
          <label>
            <input
              type="checkbox"
              checked={isOn}
              onChange={(event) =>
                onChange({ kind: "maybe", isOn: event.currentTarget.checked, inner })}
            />
            <span>
              Give <Text text={label === "" ? "a value" : label} max={120} />
            </span>
            <span class="aside">optional</span>
          </label>
          {isOn ? shown : null}
        </div>
      )
    }
  }
}

/** What stands in an object or a list. */
const Parts = ({ fields, id, mistakes, onChange, onRemove, parts, path }: Props & {
  readonly fields: ReadonlyArray<{ readonly name: string; readonly field: Field }>
  readonly parts: ReadonlyArray<Draft>
  readonly onRemove?: (index: number) => void
}): JSX.Element => (
  <>
    {fields.map(({ field, name }, i) => (
      <div class="part" key={i}>
        <Fields
          field={field}
          draft={parts[i] ?? empty(field)}
          name={name}
          path={`${path}/${i}`}
          id={id}
          mistakes={mistakes}
          onChange={(draft) => onChange({ kind: "parts", parts: parts.with(i, draft) })}
        />
        {onRemove === undefined ? null : (
          <button
            type="button"
            class="button quiet"
            aria-label={`Remove ${visible(name)}`}
            onClick={() => onRemove(i)}
          >
            ✕
          </button>
        )}
      </div>
    ))}
  </>
)

const range = ({ isInteger, max, min }: Field & { readonly kind: "number" }): string => {
  const isSmall = (n: number | undefined) => n !== undefined && Math.abs(n) < 1e15
  const low = isSmall(min) ? min : undefined
  const high = isSmall(max) ? max : undefined
  const limits = low !== undefined && high !== undefined
    ? `${low} to ${high}`
    : low !== undefined
    ? `at least ${low}`
    : high !== undefined
    ? `at most ${high}`
    : ""
  return limits === "" ? (isInteger ? "whole number" : "number") : limits
}
