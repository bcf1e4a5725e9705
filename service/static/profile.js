/** One row of a vector model: a line for each column, its value on a track. */

import { el } from "./dom.js";
import { SHOWN, unfold } from "./fold.js";
import { format } from "./format.js";
import { Track } from "./track.js";

export class Profile {
  #lines = [];
  #row = null;

  /** ``typical`` is what Model.typical gives. */
  constructor(model, typical) {
    const body = el("div", { class: "profile", role: "list" });
    const add = (from, to) => {
      for (let i = from; i < to; i++) body.append(this.#add(model.columns[i], typical, i));
      if (this.#row) this.show(this.#row);
    };
    add(0, Math.min(SHOWN, model.size));
    const more = unfold(model.size, "columns", () => add(SHOWN, model.size));
    this.element = el("div", { class: "profile-frame" }, body, ...(more ? [more] : []));
  }

  show(row) {
    this.#row = row;
    this.#lines.forEach(({ track, output }, i) => {
      track.show(row[i]);
      output.textContent = format(row[i]);
    });
  }

  #add(name, { low, high }, i) {
    const track = new Track(low[i], high[i]);
    const output = el("span", { class: "number" });
    this.#lines.push({ track, output });
    const label = el("span", { class: "name", title: name }, name);
    return el("div", { class: "line", role: "listitem" }, label, track.element, output);
  }
}
