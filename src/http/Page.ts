/** The inspector: three files of the package, served as they are. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"

/** The text of the page's files. */
export interface Page {
  readonly html: string
  readonly script: string
  readonly style: string
}

/** The inspector's files are not where the package has them. */
export class PageMissing
  extends Schema.TaggedError<PageMissing>("reprise/PageMissing")("PageMissing", {
    looked: Schema.Array(Schema.String)
  })
{
  override get message(): string {
    return `The inspector is not there: looked for index.html in ${
      this.looked.join(", ")
    }. In a checkout, `
      + `\`npm run build\` makes it; a bundler has to leave the package as it is.`
  }
}

/** From the package as it is built, from its chunks, and from its sources. */
const places = ["./inspector/", "../inspector/", "../../dist/inspector/"]

/** Reads the inspector from the package. */
export const readPage = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const looked: Array<string> = []
  for (const place of places) {
    const directory = yield* Effect.orDie(path.fromFileUrl(new URL(place, import.meta.url)))
    const read = (name: string) => files.readFileString(path.join(directory, name))
    if (
      yield* Effect.orElseSucceed(files.exists(path.join(directory, "index.html")), () => false)
    ) {
      const html = yield* read("index.html")
      return { html, script: yield* read("inspector.js"), style: yield* read("inspector.css") }
    }
    looked.push(directory)
  }
  return yield* new PageMissing({ looked })
})

const compressed = HttpMiddleware.compression()

const file = (path: HttpRouter.PathInput, contentType: string, text: string) =>
  HttpRouter.add(
    "GET",
    path,
    compressed(Effect.succeed(HttpServerResponse.text(text, { contentType })))
  )

export const layer = ({ html, script, style }: Page) =>
  Layer.mergeAll(
    file("/", "text/html; charset=utf-8", html),
    file("/inspector.js", "text/javascript; charset=utf-8", script),
    file("/inspector.css", "text/css; charset=utf-8", style)
  )
