/** Views of a model's rows: pictures for image models, lists and tables for vector models. */

import { DotPlot } from "./charts.js";
import { button, el, formatNumber } from "./dom.js";

const SMOOTH_FROM = 64; // pixels of width; the browser smooths pictures from this width on
const COLUMNS_AT_FIRST = 24; // a button shows the rest

/** Create the view of one row of the model: an object with ``element`` and ``show(row)``. */
export async function createRowView(model, label) {
  return model.isImage ? new Picture(model, label) : new ColumnList(model, await model.typical());
}

/**
 * Call ``add(from, to)`` for the first columns, and again for the rest if the button that is
 * returned is pressed. The result is an array without a button if there is no rest.
 */
export function addColumns(total, add) {
  const first = Math.min(COLUMNS_AT_FIRST, total);
  add(0, first);
  if (first === total) return [];
  const addRest = () => {
    more.remove();
    add(first, total);
  };
  const more = button(`Show all ${total} columns`, addRest, { class: "more" });
  return [more];
}

/** One row of an image model as a canvas of the model's size. Decorative if it has no label. */
export class Picture {
  #context;
  #model;

  constructor(model, label) {
    this.#model = model;
    const { width, height } = model;
    const meaning = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
    this.element = el("canvas", { class: "picture", width, height, ...meaning });
    this.element.classList.toggle("smooth", width > SMOOTH_FROM);
    this.#context = this.element.getContext("2d");
  }

  /** Show a row, ``size`` numbers in the model's own units. */
  show(row) {
    const { width, height, channels, low, high } = this.#model;
    const image = this.#context.createImageData(width, height);
    for (let pixel = 0; pixel < width * height; pixel++) {
      for (let channel = 0; channel < 3; channel++) {
        const value = row[pixel * channels + (channels === 3 ? channel : 0)];
        image.data[pixel * 4 + channel] = (255 * (value - low)) / (high - low); // clamps
      }
      image.data[pixel * 4 + 3] = 255;
    }
    this.#context.putImageData(image, 0, 0);
  }
}

/**
 * Several pictures, each a button. ``layout`` is the CSS class; ``label(i)`` names picture i, and
 * ``onpick(i)`` is called when it is pressed.
 */
export class PictureButtons {
  #model;
  #label;
  #onpick;
  #pictures = [];

  constructor(model, layout, label, onpick) {
    this.#model = model;
    this.#label = label;
    this.#onpick = onpick;
    this.element = el("div", { class: layout });
  }

  show(rows) {
    this.resize(rows.length);
    rows.forEach((row, i) => this.#pictures[i].show(row));
  }

  /** Set the number of pictures. Existing buttons stay, so that the keyboard focus stays. */
  resize(count) {
    while (this.#pictures.length > count) {
      this.#pictures.pop();
      this.element.lastChild.remove();
    }
    while (this.#pictures.length < count) this.#add(this.#pictures.length);
  }

  #add(i) {
    const picture = new Picture(this.#model);
    const click = () => this.#onpick(i);
    const attributes = { class: "picture-button", "aria-label": this.#label(i), click };
    this.#pictures.push(picture);
    this.element.append(el("button", { type: "button", ...attributes }, picture.element));
  }
}

/** One row of a vector model: a line for each column, with its value as a dot and as a number. */
export class ColumnList {
  #lines = [];
  #row = null;

  /** ``typical`` is the result of Model.typical. */
  constructor(model, typical) {
    const body = el("div", { class: "columns", role: "list" });
    const add = (from, to) => {
      for (let i = from; i < to; i++) body.append(this.#line(model.columns[i], typical, i));
      if (this.#row) this.show(this.#row);
    };
    this.element = el("div", { class: "column-list" }, body, ...addColumns(model.size, add));
  }

  show(row) {
    this.#row = row;
    this.#lines.forEach(({ plot, output }, i) => {
      plot.show(row[i]);
      output.textContent = formatNumber(row[i]);
    });
  }

  #line(name, { low, high }, i) {
    const plot = new DotPlot(low[i], high[i]);
    const output = el("span", { class: "number" });
    this.#lines.push({ plot, output });
    const label = el("span", { class: "name", title: name }, name);
    return el("div", { class: "line", role: "listitem" }, label, plot.element, output);
  }
}

/** Rows of a vector model as a table. Pressing the number of row i calls ``onpick(i)``. */
export class RowTable {
  #columns;
  #onpick;
  #shown;
  #rows = [];
  #table = el("table");

  constructor(model, onpick) {
    this.#columns = model.columns;
    this.#onpick = onpick;
    const add = (_, to) => {
      this.#shown = to;
      if (this.#rows.length > 0) this.show(this.#rows);
    };
    const scroller = { class: "scroller", tabindex: "0", role: "region", "aria-label": "Samples" };
    const parts = [el("div", scroller, this.#table), ...addColumns(model.size, add)];
    this.element = el("div", {}, ...parts);
  }

  show(rows) {
    this.#rows = rows;
    const names = this.#columns.slice(0, this.#shown);
    const heads = names.map((name) => el("th", { scope: "col", title: name }, name));
    this.#table.replaceChildren(
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Row"), ...heads)),
      el("tbody", {}, ...rows.map((row, i) => this.#line(row, i))),
    );
  }

  #line(row, i) {
    const label = { "aria-label": `Row ${i + 1}: open in Explore` };
    const pick = button(String(i + 1), () => this.#onpick(i), label);
    const cells = row.slice(0, this.#shown).map((value) => el("td", {}, formatNumber(value)));
    return el("tr", {}, el("th", { scope: "row" }, pick), ...cells);
  }
}
