/** Which names are meant by what is typed, and what of it the server is asked for. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { queryOf, rank } from "../../../relay/web/app/sidebar/matching.js";

test("a name is meant by its beginning, by beginnings of its words, by a part, and by letters in order", () => {
  const names = ["Zoé Laurent", "Design review", "يوسف أحمد"];
  for (const [typed, name, expected] of /** @type {[string, string, number][]} */ ([
    ["zoe", names[0], 0], ["ZOÉ L", names[0], 0], ["lau", names[0], 1], ["lau zo", names[0], 1], ["aur", names[0], 2], ["znt", names[0], 3],
    ["", names[1], 0], ["review des", names[1], 1], ["dsgn", names[1], 3], ["x", names[1], Infinity], ["أح", names[2], 1],
    ["/", names[0], Infinity], ["???", names[1], Infinity],
  ])) {
    assert.equal(rank(typed, name), expected, `${typed} in ${name}`);
  }
  assert.equal(rank("bo", "Robert", "bob"), 0, "the best of several names counts");
});

test("the last word is found by its beginning, and nothing is asked where there is nothing to search for", () => {
  for (const [typed, query] of [
    ["marg", "marg*"], ["lunch fri", "lunch fri*"], ["a", "a"], ['"on fri', '"on fri'], ['"on friday" lun', '"on friday" lun*'],
    ["from:alice", "from:alice"], ["-lunch", "-lunch"], ["*iday*", "*iday*"], ["été", "été*"], ["🎉", "🎉"], ["/", ""], ["???", ""], ["<>=+", ""], ["", ""],
  ]) {
    assert.equal(queryOf(typed), query);
  }
});
