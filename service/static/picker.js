/** Which model: its name, its version, and what is known of it. */

import { el } from "./dom.js";
import { factList, showFacts } from "./facts.js";
import { describeShape, fixed } from "./format.js";

/** ``onpick`` gets a name and a version. */
export class Picker {
  #onpick;
  #names;
  #versions = el("select", { "aria-label": "Version" });
  #facts = factList();

  constructor(descriptions, onpick) {
    this.#onpick = onpick;
    this.#names = el("select", {}, ...descriptions.map(({ name }) => el("option", {}, name)));
    this.#names.addEventListener("change", () => this.#pickLatest(descriptions));
    this.#versions.addEventListener("change", () => this.#pick(Number(this.#versions.value)));
    this.element = el(
      "div",
      { class: "picker" },
      el("label", {}, "Model", this.#names),
      this.#versions,
      this.#facts,
    );
  }

  /** Show the model that is open. */
  show(model) {
    this.#names.value = model.name;
    const option = (version) => el("option", { value: version }, `version ${version}`);
    this.#versions.replaceChildren(...model.versions.map(option));
    this.#versions.value = model.version;
    this.#versions.hidden = model.versions.length === 1;
    showFacts(this.#facts, factsOf(model));
  }

  #pickLatest(descriptions) {
    this.#pick(descriptions.find(({ name }) => name === this.#names.value).version);
  }

  #pick(version) {
    this.#onpick(this.#names.value, version);
  }
}

function factsOf(model) {
  const { likelihood, network, metrics, created } = model.description;
  const active = "active_units" in metrics ? `, ${metrics.active_units} active` : "";
  const facts = [
    ["Input", describeShape(model)],
    ["Latent", `${model.latentDim} dimensions${active}`],
    ["Likelihood", likelihood.kind],
    ["Network", network.kind],
    ["Trained", new Date(created).toLocaleDateString(undefined, { dateStyle: "medium" })],
  ];
  if ("elbo" in metrics) facts.splice(2, 0, ["Held-out ELBO", `${fixed(metrics.elbo, 1)} nats`]);
  return facts;
}
