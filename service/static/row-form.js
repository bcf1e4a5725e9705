/** A form for one row of a vector model, with the model's reconstruction beside each field. */

import { DotPlot } from "./charts.js";
import { button, el, formatNumber } from "./dom.js";
import { addColumns } from "./row-views.js";

const [RECONSTRUCTION, INPUT] = [0, 1]; // the dots of a plot, back to front

/**
 * ``onchange`` receives the row, or null while a field is empty. ``typical`` is the result of
 * Model.typical. ``sample`` is a button that loads a sample.
 */
export class RowForm {
  #model;
  #typical;
  #onchange;
  #lines;
  #body = el("div", { class: "columns form" });
  #hint = el("p", { class: "note", role: "status" });

  constructor(model, typical, onchange, sample) {
    this.#model = model;
    this.#typical = typical;
    this.#onchange = onchange;
    this.#lines = model.columns.map((name, i) => this.#line(name, i));
    const elements = this.#lines.map(({ element }) => element);
    const add = (from, to) => this.#body.append(...elements.slice(from, to));
    const more = addColumns(model.size, add);
    const parts = [this.#tools(sample), columnHeads(), this.#body, ...more, this.#hint];
    this.element = el("div", {}, ...parts);
    this.#body.addEventListener("paste", (event) => this.#paste(event));
  }

  load(row) {
    row.forEach((value, i) => (this.#lines[i].field.value = shortened(value)));
    this.#changed();
  }

  showReconstruction(row) {
    this.#lines.forEach(({ plot, output, field }, i) => {
      output.textContent = row ? formatNumber(row[i]) : "";
      plot.element.classList.toggle("empty", row === null);
      if (!row) return;
      plot.show(row[i], RECONSTRUCTION);
      plot.show(field.valueAsNumber, INPUT);
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
    const field = el("input", { type: "number", step: "any", placeholder: formatNumber(median[i]) });
    field.setAttribute("aria-label", name);
    field.addEventListener("input", () => this.#changed());
    const plot = new DotPlot(low[i], high[i], ["filled", "hollow"]);
    const output = el("output", { class: "number" });
    const label = el("span", { class: "name", title: name }, name);
    const element = el("label", { class: "line" }, label, plot.element, field, output);
    return { element, field, plot, output };
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

  /** A pasted line of a CSV file or of a spreadsheet fills this field and those after it. */
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

function columnHeads() {
  const names = ["Column", "", "Yours", "Reconstruction"];
  const cells = names.map((name) => el("span", {}, name));
  return el("div", { class: "line column-heads", "aria-hidden": "true" }, ...cells);
}

/** Round to five digits, which a field can show: the row is sent as the fields show it. */
function shortened(value) {
  return Number(value.toPrecision(5));
}
