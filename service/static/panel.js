/** A panel: heading, content, the last problem, and the last request as a curl command. */

import { address, Problem, storedKey } from "./api.js";
import { button, el } from "./dom.js";

const FRAME_MS = 16;
const CURL_CHARACTERS = 240;
const COPIED_MS = 1500;

export class Panel {
  #problem = el("p", { class: "problem", role: "alert", hidden: true });
  #curl = new CurlCommand();

  constructor(id, title, lead, ...content) {
    this.element = el(
      "section",
      { id, class: "panel", "aria-labelledby": `${id}-title` },
      el("h2", { id: `${id}-title` }, title),
      el("p", { class: "lead" }, lead),
      ...content,
      this.#problem,
      this.#curl.element,
    );
  }

  /** Show the request that this panel sends. */
  showRequest(path, body) {
    this.#curl.show(path, body);
  }

  /** Run ``work``; if it raises a Problem, show it in this panel. */
  async attempt(work) {
    this.element.setAttribute("aria-busy", "true");
    try {
      await work();
      this.#show("");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#show(error.message);
    } finally {
      this.element.removeAttribute("aria-busy");
    }
  }

  #show(message) {
    this.#problem.textContent = message;
    this.#problem.hidden = message === "";
  }
}

/**
 * Wrap ``work`` for a control that changes many times a second. One call runs at a time, at most
 * one starts a frame, and of the calls that arrive meanwhile only the last one runs.
 */
export function coalesce(work) {
  let running = false;
  let waiting = [];
  return async (argument) => {
    waiting = [argument];
    if (running) return;
    running = true;
    try {
      while (waiting.length > 0) {
        await new Promise((resolve) => setTimeout(resolve, FRAME_MS));
        await work(waiting.pop());
      }
    } finally {
      running = false;
    }
  };
}

/** A request as a curl command, with a button that copies it. */
class CurlCommand {
  #code = el("code", { tabindex: "0" });
  #copy = button("Copy", () => this.#copied(), { "aria-label": "Copy the curl command" });
  #command = "";

  constructor() {
    this.element = el("div", { class: "curl", hidden: true }, this.#code, this.#copy);
  }

  show(path, body) {
    this.#command = curlCommand(path, body);
    this.#code.textContent = shorten(this.#command);
    this.element.hidden = false;
  }

  async #copied() {
    this.#copy.textContent = (await copy(this.#command)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (this.#copy.textContent = "Copy"), COPIED_MS);
  }
}

/** Single quotes enclose the body, so a single quote in it, as in a class name, is escaped. */
function curlCommand(path, body) {
  const key = storedKey() ? ` -H "X-API-Key: $VAE_API_KEY"` : "";
  const json = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl ${address(path)} -H 'Content-Type: application/json'${key} -d '${json}'`;
}

/** Leave out the middle of a long command on the page; the button copies all of it. */
function shorten(command) {
  if (command.length <= CURL_CHARACTERS) return command;
  return `${command.slice(0, CURL_CHARACTERS - 20)} … ${command.slice(-20)}`;
}

/** Copy to the clipboard. Browsers offer navigator.clipboard to secure origins only. */
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
