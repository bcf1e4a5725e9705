/** Rows of a vector model as a table; the number of each is a button. */

import { button, el } from "./dom.js";
import { SHOWN, unfold } from "./fold.js";
import { format } from "./format.js";

/** ``onpick`` gets the latent of the row that is picked. */
export class RowTable {
  #columns;
  #onpick;
  #shown;
  #rows = [];
  #latents = [];
  #table = el("table");

  constructor(model, onpick) {
    this.#columns = model.columns;
    this.#onpick = onpick;
    this.#shown = Math.min(SHOWN, model.size);
    const more = unfold(model.size, "columns", () => this.#unfolded());
    const scroller = { class: "scroller", tabindex: "0", role: "region", "aria-label": "Samples" };
    this.element = el("div", {}, el("div", scroller, this.#table), ...(more ? [more] : []));
  }

  show(rows, latents) {
    this.#rows = rows;
    this.#latents = latents;
    const names = this.#columns.slice(0, this.#shown);
    const heads = names.map((name) => el("th", { scope: "col", title: name }, name));
    this.#table.replaceChildren(
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Row"), ...heads)),
      el("tbody", {}, ...rows.map((row, i) => this.#line(row, i))),
    );
  }

  #line(row, i) {
    const pick = button(String(i + 1), () => this.#onpick(this.#latents[i]), {
      "aria-label": `Row ${i + 1}: open in Explore`,
    });
    const cells = row.slice(0, this.#shown).map((value) => el("td", {}, format(value)));
    return el("tr", {}, el("th", { scope: "row" }, pick), ...cells);
  }

  #unfolded() {
    this.#shown = this.#columns.length;
    this.show(this.#rows, this.#latents);
  }
}
