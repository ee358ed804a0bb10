/** Laws of the page's files and of the SDK's: how long they are, and whose a style is. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const WEB = new URL("../../../relay/web/", import.meta.url);
const MAX_LINES = 400;
/** Data, and what is generated. */
const UNBOUNDED = /^(app\/(words\/|emoji\/(names-|data|list))|sdk\/protocol\.js)/;

/** Return the names of the page's and the SDK's files. @param {string} end of a name */
function files(end) {
  return ["app", "sdk"].flatMap((folder) =>
    /** @type {string[]} */ (readdirSync(new URL(`${folder}/`, WEB), { recursive: true }))
      .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
      .filter((name) => name.endsWith(end)),
  );
}

/** @param {string} name */
function read(name) {
  return readFileSync(new URL(name, WEB), "utf8");
}

test("no file is longer than a reader can hold", () => {
  const lengths = files(".js").filter((name) => !UNBOUNDED.test(name)).map((name) => ({ name, lines: read(name).split("\n").length - 1 }));
  assert.ok(lengths.length > 100);
  assert.deepEqual(lengths.filter(({ lines }) => lines > MAX_LINES), []);
});

/** Return the classes that a style sheet defines bare: by a selector that is the class alone, a pseudo-class aside. @param {string} css */
function bareClasses(css) {
  const found = new Set();
  for (const [, head] of css.replace(/\/\*[\s\S]*?\*\//g, "").matchAll(/([^{}]+)\{/g)) {
    for (const selector of head.split(/,(?![^(]*\))/)) {
      const bare = selector.trim().match(/^\.([\w-]+)((?!:has)::?[\w-]+(\([^)]*\))?)*$/);
      if (bare) found.add(bare[1]);
    }
  }
  return found;
}

test("a class is defined bare in the style sheets of one room alone", () => {
  assert.deepEqual([...bareClasses(".a { } /* .b { } */ .c:hover, .d .e { } @media (x) { .f::after { } .g.h { } } p.i { } .j[data-k] { }")], ["a", "c", "f"]);
  /** @type {Map<string, Set<string>>} */
  const rooms = new Map();
  for (const name of files(".css")) {
    const room = name.split("/").slice(0, -1).join("/") === "app" ? name : name.split("/").slice(0, -1).join("/");
    for (const one of bareClasses(read(name))) rooms.set(one, (rooms.get(one) ?? new Set()).add(room));
  }
  assert.ok(rooms.size > 50);
  assert.deepEqual([...rooms].filter(([, where]) => where.size > 1).map(([one, where]) => `.${one}: ${[...where].join(", ")}`), []);
});
