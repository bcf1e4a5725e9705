/** Building blocks of the page: elements in one expression, and numbers as text. */

/**
 * Create an HTML element. An attribute that is a function becomes a listener for the event of that
 * name, a boolean sets or omits the attribute, and any other value is set as text.
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Create an SVG element; attributes as for ``el``. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** Create a button that submits no form. */
export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", click: onclick, ...attributes }, text);
}

/** Create an empty description list, in one line; ``setDescriptions`` fills it. */
export function descriptionList() {
  return el("dl", { class: "description-list" });
}

/** Replace the entries of a description list. ``pairs`` are [name, text]. */
export function setDescriptions(list, pairs) {
  const entry = ([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text));
  list.replaceChildren(...pairs.map(entry));
}

/** Format a number with four significant digits; very large and small ones get an exponent. */
export function formatNumber(value) {
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return minus(value.toExponential(1));
  return minus(size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4))));
}

/** Format a number with a fixed number of decimals. */
export function formatFixed(value, decimals) {
  return minus(value.toFixed(decimals));
}

function minus(text) {
  return text.replace("-", "−");
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
