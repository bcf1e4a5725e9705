/** A row of one's own for a vector model: a field for each column, its reconstruction beside. */

import { button, el } from "./dom.js";
import { SHOWN, unfold } from "./fold.js";
import { format } from "./format.js";
import { Track } from "./track.js";

const [GIVEN, MADE] = [1, 0]; // the dots of a track; the reconstruction lies behind

/**
 * ``onchange`` gets the row, null while a field is empty. ``typical`` is what Model.typical gives;
 * ``sample`` is a button that loads one.
 */
export class RowForm {
  #model;
  #typical;
  #onchange;
  #lines;
  #body = el("div", { class: "profile form" });
  #hint = el("p", { class: "note", role: "status" });

  constructor(model, typical, onchange, sample) {
    this.#model = model;
    this.#typical = typical;
    this.#onchange = onchange;
    this.#lines = model.columns.map((name, i) => this.#line(name, i));
    const add = (lines) => this.#body.append(...lines.map(({ element }) => element));
    add(this.#lines.slice(0, SHOWN));
    const more = unfold(model.size, "columns", () => add(this.#lines.slice(SHOWN)));
    const parts = [this.#tools(sample), heads(), this.#body, more ?? "", this.#hint];
    this.element = el("div", {}, ...parts);
    this.#body.addEventListener("paste", (event) => this.#paste(event));
  }

  load(row) {
    row.forEach((value, i) => (this.#lines[i].field.value = shortened(value)));
    this.#changed();
  }

  showReconstruction(row) {
    this.#lines.forEach(({ track, output, field }, i) => {
      output.textContent = row ? format(row[i]) : "";
      track.element.classList.toggle("empty", row === null);
      if (!row) return;
      track.show(row[i], MADE);
      track.show(field.valueAsNumber, GIVEN);
    });
  }

  #tools(sample) {
    const { low, median, high } = this.#typical;
    const mixed = () => low.map((value, i) => value + Math.random() * (high[i] - value));
    return el(
      "div",
      { class: "controls" },
      sample,
      button("Typical values", () => this.load(median)),
      button("Columns at random", () => this.load(mixed())),
      button("Clear", () => this.#clear()),
    );
  }

  #line(name, i) {
    const { low, high, median } = this.#typical;
    const field = el("input", { type: "number", step: "any", placeholder: format(median[i]) });
    field.setAttribute("aria-label", name);
    field.addEventListener("input", () => this.#changed());
    const track = new Track(low[i], high[i], ["filled", "hollow"]);
    const output = el("output", { class: "number" });
    const label = el("span", { class: "name", title: name }, name);
    const element = el("label", { class: "line" }, label, track.element, field, output);
    return { element, field, track, output };
  }

  #clear() {
    for (const { field } of this.#lines) field.value = "";
    this.#changed();
  }

  #changed() {
    const row = this.#lines.map(({ field }) => field.valueAsNumber);
    const missing = row.filter(Number.isNaN).length;
    const hint = `${missing} of ${this.#model.size} columns are empty.`;
    this.#hint.textContent = missing > 0 ? hint : "";
    this.#onchange(missing > 0 ? null : row);
  }

  /** Several numbers at once, a line of a CSV file or cells of a spreadsheet, fill on from here. */
  #paste(event) {
    const numbers = event.clipboardData.getData("text").trim().split(/[\s,;]+/).map(Number);
    if (numbers.length < 2 || numbers.some(Number.isNaN)) return;
    event.preventDefault();
    const from = this.#lines.findIndex(({ field }) => field === event.target);
    const lines = this.#lines.slice(from, from + numbers.length);
    lines.forEach(({ field }, i) => (field.value = numbers[i]));
    this.#changed();
  }
}

function heads() {
  const names = ["Column", "", "Yours", "Reconstruction"];
  const cells = names.map((name) => el("span", {}, name));
  return el("div", { class: "line heads", "aria-hidden": "true" }, ...cells);
}

/** Few enough digits to read; what a field shows is what is sent. */
function shortened(value) {
  return Number(value.toPrecision(5));
}
