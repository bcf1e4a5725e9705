/** One operation of an OpenAPI document, folded: parameters, bodies, replies. */

import { el } from "./dom.js";

export class Operation {
  #operation;

  constructor(method, path, operation) {
    this.#operation = operation;
    const head = el(
      "summary",
      {},
      el("span", { class: `method ${method}` }, method.toUpperCase()),
      el("code", {}, path),
      el("span", { class: "said" }, operation.summary ?? ""),
    );
    this.element = el("details", { id: operation.operationId ?? `${method}${path}` }, head);
    // What most never open is not built.
    this.element.addEventListener("toggle", () => this.#unfold(), { once: true });
  }

  #unfold() {
    const { description, parameters = [], requestBody, responses = {}, security } = this.#operation;
    this.element.append(
      ...(description ? [el("p", {}, description)] : []),
      ...(security ? [el("p", { class: "note" }, `Asks for a key: ${keys(security)}.`)] : []),
      ...(parameters.length ? [heading("Parameters"), table(parameters.map(parameterRow))] : []),
      ...(requestBody ? [heading("Request body"), ...bodies(requestBody.content)] : []),
      heading("Replies"),
      table(Object.entries(responses).map(([status, reply]) => [status, reply.description ?? ""])),
      ...bodies(responses["200"]?.content ?? {}),
    );
  }
}

function heading(text) {
  return el("h3", {}, text);
}

function keys(security) {
  return security.flatMap(Object.keys).join(" or ");
}

function table(rows) {
  const cells = (row) => row.map((cell) => el("td", {}, cell));
  const body = el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row))));
  return el("div", { class: "scroller" }, el("table", { class: "reference" }, body));
}

function parameterRow({ name, in: place, required, description = "", schema }) {
  return [el("code", {}, name), place, required ? `${type(schema)}, required` : type(schema), description];
}

/** What each format holds: the fields of JSON with an example, the names of the others. */
function bodies(content) {
  const others = Object.keys(content).filter((format) => format !== "application/json");
  const { schema, example } = content["application/json"] ?? {};
  const fields = Object.entries(schema?.properties ?? {});
  return [
    ...(fields.length ? [table(fields.map((field) => fieldRow(field, schema)))] : []),
    ...(example ? [el("pre", { tabindex: "0" }, el("code", {}, JSON.stringify(example)))] : []),
    ...(others.length ? [el("p", { class: "note" }, `Also as ${others.join(", ")}.`)] : []),
  ];
}

function fieldRow([name, schema], { required = [] }) {
  const kind = required.includes(name) ? `${type(schema)}, required` : type(schema);
  const preset = schema.default === undefined ? "" : `default ${JSON.stringify(schema.default)}`;
  return [el("code", {}, name), kind, preset, schema.description ?? ""];
}

/** A JSON schema in a few words. */
function type(schema = {}) {
  if (schema.anyOf) return schema.anyOf.map(type).join(" or ");
  const bounds = [
    ["≥", schema.minimum],
    [">", schema.exclusiveMinimum],
    ["≤", schema.maximum],
    ["<", schema.exclusiveMaximum],
  ].filter(([, bound]) => bound !== undefined);
  return [schema.type ?? "any", ...bounds.map(([sign, bound]) => `${sign} ${bound}`)].join(" ");
}
