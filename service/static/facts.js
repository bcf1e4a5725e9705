/** Named figures in a line. */

import { el } from "./dom.js";

/** A list to be filled. */
export function factList() {
  return el("dl", { class: "facts" });
}

/** Put ``facts``, pairs of a name and a text, in place of those in ``list``. */
export function showFacts(list, facts) {
  const entry = ([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text));
  list.replaceChildren(...facts.map(entry));
}
