/** The API's documentation: the operations of openapi.json by tag. */

import { Api, Problem } from "./api.js";
import { el } from "./dom.js";

const find = (id) => document.getElementById(id);

/** One operation of the OpenAPI document, closed at first: parameters, bodies, replies. */
class Operation {
  #operation;

  constructor(method, path, operation) {
    this.#operation = operation;
    const head = el(
      "summary",
      {},
      el("span", { class: `method ${method}` }, method.toUpperCase()),
      el("code", {}, path),
      el("span", { class: "summary" }, operation.summary ?? ""),
    );
    this.element = el("details", { id: operation.operationId ?? `${method}${path}` }, head);
    // The content is built when the operation is opened: most readers open a few.
    this.element.addEventListener("toggle", () => this.#build(), { once: true });
  }

  #build() {
    const { description, parameters = [], requestBody, responses = {}, security } = this.#operation;
    this.element.append(
      ...(description ? [el("p", {}, description)] : []),
      ...(security ? [el("p", { class: "note" }, `Requires a key: ${keys(security)}.`)] : []),
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

/** The fields of the JSON body, an example, and the names of the other formats. */
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

/** A JSON schema's type and bounds in a few words. */
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

/** Group the operations by their first tag, in the order of the document. */
function groupByTag({ paths }) {
  const groups = new Map();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const [tag] = operation.tags ?? ["other"];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(new Operation(method, path, operation));
    }
  }
  return groups;
}

function section(tag, operations) {
  const heading = el("h2", {}, tag);
  return el("section", { class: "operations" }, heading, ...operations.map(({ element }) => element));
}

/** Open the operation whose id is the fragment of the address. */
function openNamed() {
  const named = document.getElementById(location.hash.slice(1));
  if (!(named instanceof HTMLDetailsElement)) return;
  named.open = true;
  named.scrollIntoView();
}

async function start() {
  try {
    const api = await new Api(find("key")).get("openapi.json");
    find("title").textContent = `${api.info.title} ${api.info.version}`;
    find("lead").textContent = api.info.summary ?? "";
    const sections = [...groupByTag(api)].map(([tag, operations]) => section(tag, operations));
    find("operations").replaceChildren(...sections);
    openNamed();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    find("operations").replaceChildren(el("p", { class: "problem", role: "alert" }, error.message));
  }
}

start();
