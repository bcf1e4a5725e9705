/** The choice of a model, its version and its condition, with a description of the model. */

import { descriptionList, el, formatFixed, setDescriptions } from "./dom.js";

/** ``onpick`` receives a name, a version and, for a conditional model, the condition. */
export class ModelPicker {
  #onpick;
  #names;
  #versions = el("select", { "aria-label": "Version" });
  #classes = el("select", { "aria-label": "Class" });
  #numbers = el("span", { class: "numbers" });
  #condition;
  #description = descriptionList();

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
      this.#description,
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
    this.#numbers.replaceChildren(...model.conditionColumns.map((_, i) => this.#field(model, i)));
    setDescriptions(this.#description, describe(model));
  }

  #pickLatest(descriptions) {
    const { name, version } = descriptions.find(({ name }) => name === this.#names.value);
    this.#onpick(name, version);
  }

  /** The field of one condition column. */
  #field(model, i) {
    const value = model.condition[i];
    const change = ({ target }) => {
      if (target.reportValidity()) this.#pickHere(model.condition.with(i, target.valueAsNumber));
    };
    const field = el("input", { type: "number", step: "any", required: true, value, change });
    return el("label", {}, model.conditionColumns[i], field);
  }

  #pickHere(condition) {
    this.#onpick(this.#names.value, Number(this.#versions.value), condition);
  }
}

function describe(model) {
  const { likelihood, network, metrics, created } = model.description;
  const active = "active_units" in metrics ? `, ${metrics.active_units} active` : "";
  const pairs = [
    ["Input", describeShape(model)],
    ["Latent", `${count(model.latentDim, "dimension")}${active}`],
    ["Likelihood", likelihood.kind],
    ["Network", network.kind],
    ["Trained", new Date(created).toLocaleDateString(undefined, { dateStyle: "medium" })],
  ];
  if ("elbo" in metrics) pairs.splice(2, 0, ["Held-out ELBO", `${formatFixed(metrics.elbo, 1)} nats`]);
  return pairs;
}

/** "28 × 28 gray", "28 × 28 colour" or "13 columns". */
function describeShape(model) {
  if (!model.isImage) return count(model.size, "column");
  return `${model.height} × ${model.width} ${model.channels === 3 ? "colour" : "gray"}`;
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
