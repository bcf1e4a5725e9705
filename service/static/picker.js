/** Which model: its name, its version, the condition it is told, and what is known of it. */

import { el } from "./dom.js";
import { factList, showFacts } from "./facts.js";
import { describeShape, fixed } from "./format.js";

/** ``onpick`` gets a name, a version and, of a conditional model, a class or numbers. */
export class Picker {
  #onpick;
  #names;
  #versions = el("select", { "aria-label": "Version" });
  #classes = el("select", { "aria-label": "Class" });
  #numbers = el("span", { class: "numbers" });
  #condition;
  #facts = factList();

  constructor(descriptions, onpick) {
    this.#onpick = onpick;
    this.#names = el("select", {}, ...descriptions.map(({ name }) => el("option", {}, name)));
    this.#names.addEventListener("change", () => this.#pickLatest(descriptions));
    this.#versions.addEventListener("change", () => this.#pickHere(this.#condition));
    this.#classes.addEventListener("change", () => this.#pickHere(this.#classes.value));
    this.element = el(
      "div",
      { class: "picker" },
      el("label", {}, "Model", this.#names),
      this.#versions,
      this.#classes,
      this.#numbers,
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
    this.#classes.value = this.#condition = model.condition;
    this.#classes.hidden = model.classes.length === 0;
    this.#numbers.replaceChildren(...model.numbers.map((name, i) => this.#field(name, model, i)));
    showFacts(this.#facts, factsOf(model));
  }

  #pickLatest(descriptions) {
    const { name, version } = descriptions.find(({ name }) => name === this.#names.value);
    this.#onpick(name, version);
  }

  /** One of the numbers that the model is told. */
  #field(name, model, i) {
    const value = model.condition[i];
    const change = ({ target }) => {
      if (target.reportValidity()) this.#pickHere(model.condition.with(i, target.valueAsNumber));
    };
    const field = el("input", { type: "number", step: "any", required: true, value, change });
    return el("label", {}, name, field);
  }

  #pickHere(condition) {
    this.#onpick(this.#names.value, Number(this.#versions.value), condition);
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
