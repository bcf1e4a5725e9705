/** A panel: heading, content, the curl line of its last request, and what went wrong. */

import { Problem } from "./api.js";
import { CurlLine } from "./curl.js";
import { el } from "./dom.js";

export class Panel {
  #problem = el("p", { class: "problem", role: "alert", hidden: true });
  #curl = new CurlLine();

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

  /** Show the request that this panel makes. */
  showRequest(path, body) {
    this.#curl.show(path, body);
  }

  /** Run ``work`` and show its Problem, if it has one, in this panel. */
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
