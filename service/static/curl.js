/** The same request for a shell, with a button that copies it. */

import { address } from "./api.js";
import { button, el } from "./dom.js";
import { storedKey } from "./keys.js";

const SHOWN_CHARACTERS = 240;
const COPIED_MS = 1500;

export class CurlLine {
  #code = el("code", { tabindex: "0" });
  #copy = button("Copy", () => this.#copied(), { "aria-label": "Copy the curl line" });
  #line = "";

  constructor() {
    this.element = el("div", { class: "curl", hidden: true }, this.#code, this.#copy);
  }

  show(path, body) {
    this.#line = curlLine(path, body);
    this.#code.textContent = shorten(this.#line);
    this.element.hidden = false;
  }

  async #copied() {
    this.#copy.textContent = (await copy(this.#line)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (this.#copy.textContent = "Copy"), COPIED_MS);
  }
}

/** Single quotes hold all of the body but themselves, which a class may have in its name. */
function curlLine(path, body) {
  const key = storedKey() ? ` -H "X-API-Key: $VAE_API_KEY"` : "";
  const json = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl ${address(path)} -H 'Content-Type: application/json'${key} -d '${json}'`;
}

/** Rows are long; their middle tells nobody anything. What is copied is whole. */
function shorten(line) {
  if (line.length <= SHOWN_CHARACTERS) return line;
  return `${line.slice(0, SHOWN_CHARACTERS - 20)} … ${line.slice(-20)}`;
}

/** Clipboards are open to pages of a secure origin only; elsewhere a selection has to do. */
async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return true;
  }
  const area = el("textarea", { class: "offscreen" });
  document.body.append(area);
  area.value = text;
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
