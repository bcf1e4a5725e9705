/** Which model: its name, its version, the class it is asked for, and what is known of it. */

import { el } from "./dom.js";
import { factList, showFacts } from "./facts.js";
import { describeShape, fixed } from "./format.js";

/** ``onpick`` gets a name, a version and, of a conditional model, a class. */
export class Picker {
  #onpick;
  #names;
  #versions = el("select", { "aria-label": "Version" });
  #classes = el("select", { "aria-label": "Class" });
  #facts = factList();

  constructor(descriptions, onpick) {
    this.#onpick = onpick;
    this.#names = el("select", {}, ...descriptions.map(({ name }) => el("option", {}, name)));
    this.#names.addEventListener("change", () => this.#pickLatest(descriptions));
    this.#versions.addEventListener("change", () => this.#pickHere());
    this.#classes.addEventListener("change", () => this.#pickHere());
    this.element = el(
      "div",
      { class: "picker" },
      el("label", {}, "Model", this.#names),
      this.#versions,
      this.#classes,
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
    this.#classes.replaceChildren(...model.classes.map((name) => el("option", {}, name)));
    this.#classes.value = model.condition;
    this.#classes.hidden = model.classes.length === 0;
    showFacts(this.#facts, factsOf(model));
  }

  #pickLatest(descriptions) {
    const { name, version } = descriptions.find(({ name }) => name === this.#names.value);
    this.#onpick(name, version);
  }

  #pickHere() {
    this.#onpick(this.#names.value, Number(this.#versions.value), this.#classes.value);
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
