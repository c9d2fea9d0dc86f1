// Shows the OpenAPI document of this API. Texts become nodes, never markup, so nothing in them can become a script.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
let description = {};

// Makes an element: properties first, then children, which are nodes or texts.
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

// The little Markdown that descriptions use: paragraphs, `code` and *emphasis*.
function prose(text) {
  return (text || "").split("\n\n").filter(Boolean).map((paragraph) => make("p", {}, ...inline(paragraph)));
}

function inline(text) {
  return text.split(/(`[^`]+`|\*[^*\s][^*]*\*)/).map((part) => {
    if (part.length > 2 && part.startsWith("`")) return make("code", {}, part.slice(1, -1));
    if (part.length > 2 && part.startsWith("*")) return make("em", {}, part.slice(1, -1));
    return part;
  });
}

function resolve(value) {
  if (!value || !value.$ref) return value;
  return value.$ref.slice(2).split("/").reduce((place, key) => place[key], description);
}

const nameOf = (schema) => (schema.$ref ? schema.$ref.split("/").pop() : "");

// Few words that say what a value is: "array of string or null", "Metadata", "integer, at least 0".
function typeOf(schema) {
  if (schema.$ref) return nameOf(schema);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const cases = schema.anyOf;
  if (cases) return cases.map(typeOf).join(" or ");
  const types = [schema.type || "anything"].flat();
  const words = types.map((type) => (type === "array" && schema.items ? `array of ${typeOf(schema.items)}` : type));
  if (schema.additionalProperties) words[0] = `map of ${typeOf(schema.additionalProperties)}`;
  return words.join(" or ") + (schema.format ? ` (${schema.format})` : "");
}

function rulesOf(schema) {
  const rules = [];
  const values = schema.enum || (schema.items && schema.items.enum);
  if (values) rules.push(["One of", values.map((value) => JSON.stringify(value)).join(", ")]);
  if (schema.minimum !== undefined) rules.push(["At least", String(schema.minimum)]);
  if (schema.maxLength !== undefined) rules.push(["Characters at most", String(schema.maxLength)]);
  if (schema.pattern) rules.push(["Pattern", schema.pattern]);
  if (schema.default !== undefined) rules.push(["Default", JSON.stringify(schema.default)]);
  if (schema.examples) rules.push(["Example", JSON.stringify(schema.examples[0])]);
  return rules.map(([name, value]) => make("p", { class: "rule" }, `${name}: `, make("code", {}, value)));
}

// The schemas that a value of this one is made of, by name; they are shown when they are opened.
function innerSchemas(schema) {
  if (schema.$ref) return [schema];
  return [...(schema.anyOf || []), schema.items, schema.additionalProperties].filter(Boolean).flatMap(innerSchemas);
}

function fields(schema) {
  const rows = Object.entries(schema.properties || {}).map(([name, inner]) => {
    const required = (schema.required || []).includes(name);
    const head = make("p", {}, make("code", { class: "name" }, name), " ", make("span", { class: "type" }, typeOf(inner)));
    if (required) head.append(" ", make("span", { class: "required" }, "required"));
    const deeper = innerSchemas(inner).map((each) => schemaDetails(each));
    return make("li", {}, head, ...prose(inner.description), ...rulesOf(inner), ...deeper);
  });
  return rows.length ? make("ul", { class: "fields" }, ...rows) : null;
}

function schemaBody(schema) {
  const resolved = resolve(schema);
  const cases = (resolved.oneOf || (schema.$ref ? [] : resolved.anyOf) || []).map((each) => {
    if (each.$ref) return schemaDetails(each);
    return make("div", { class: "case" }, make("p", {}, "Either:"), fields(each) || typeOf(each));
  });
  return [...prose(resolved.description), ...rulesOf(resolved), fields(resolved), ...cases];
}

// A schema that is filled in when it is opened: there is no end to what is below some of them.
function schemaDetails(schema, open = false) {
  const details = make("details", {}, make("summary", {}, nameOf(schema) || typeOf(schema)));
  const fill = () => {
    if (details.open && details.childElementCount === 1) details.append(...schemaBody(schema).filter(Boolean));
  };
  details.addEventListener("toggle", fill);
  details.open = open;
  fill();
  return details;
}

function contents(content) {
  return Object.entries(content || {}).flatMap(([type, { schema, example }]) => [
    make("p", { class: "media" }, make("code", {}, type)),
    schemaDetails(schema),
    example ? make("pre", {}, JSON.stringify(example, null, 2)) : null,
  ]);
}

function parameters(list) {
  if (!list.length) return [];
  const rows = list.map((each) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, make("code", {}, each.name)),
      make("td", {}, each.in),
      make("td", {}, typeOf(each.schema)),
      make("td", {}, ...prose(each.description), ...rulesOf(each.schema)),
    ),
  );
  const heads = ["Name", "In", "Type", "Meaning"].map((text) => make("th", { scope: "col" }, text));
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
  return [make("h4", {}, "Parameters"), make("div", { class: "wide" }, table)];
}

function answers(responses) {
  const rows = Object.entries(responses).map(([status, reference]) => {
    const response = resolve(reference);
    const head = make("summary", {}, make("code", {}, status), " ", ...inline(response.description));
    return make("details", { class: status < "400" ? "success" : "problem" }, head, ...contents(response.content).filter(Boolean));
  });
  return [make("h4", {}, "Answers"), ...rows];
}

function command(method, path, body) {
  const lines = [`curl -X ${method.toUpperCase()} ${location.origin}${path}`, `-H "Authorization: Bearer $TOKEN"`];
  const [type, { example }] = Object.entries((body && body.content) || { "": {} })[0];
  if (body) lines.push(`-H "Content-Type: ${type}"`, example ? `-d '${JSON.stringify(example)}'` : "-d @body.json");
  return make("pre", {}, lines.join(" \\\n  "));
}

function operation(path, method, shown) {
  const body = shown.requestBody;
  const heading = make("h3", {}, make("span", { class: `method ${method}` }, method.toUpperCase()), " ", make("code", {}, path));
  return make(
    "article",
    { id: shown.operationId, tabindex: "-1" },
    heading,
    make("p", { class: "summary" }, ...inline(shown.summary)),
    ...prose(shown.description),
    ...parameters((shown.parameters || []).map(resolve)),
    ...(body ? [make("h4", {}, "Body"), ...contents(body.content).filter(Boolean)] : []),
    ...answers(shown.responses),
    make("h4", {}, "Try it"),
    command(method, path, body),
  );
}

function* operations() {
  for (const [path, methods] of Object.entries(description.paths))
    for (const method of METHODS) if (methods[method]) yield [path, method, methods[method]];
}

function entry(path, method, shown) {
  const link = make("a", { href: `#${shown.operationId}` }, make("span", { class: `method ${method}` }, method.toUpperCase()), " ");
  link.append(...inline(shown.summary));
  if (shown.operationId.startsWith("list_all_")) link.append(" of all namespaces");
  const words = [shown.operationId.replaceAll("_", " "), method, path, shown.summary].join(" ").toLowerCase();
  return make("li", { "data-words": words }, link);
}

function index(tag) {
  const entries = [...operations()].filter(([, , shown]) => shown.tags.includes(tag.name));
  return make("section", {}, make("h2", {}, tag.name), make("ul", {}, ...entries.map((each) => entry(...each))));
}

function filter() {
  const wanted = document.getElementById("filter").value.toLowerCase().split(/\s+/);
  let found = 0;
  for (const section of document.querySelectorAll("#index section")) {
    for (const each of section.querySelectorAll("li")) {
      each.hidden = !wanted.every((word) => each.dataset.words.includes(word));
      found += each.hidden ? 0 : 1;
    }
    section.hidden = !section.querySelector("li:not([hidden])");
  }
  document.getElementById("found").textContent = found === 1 ? "1 operation" : `${found} operations`;
}

// Only the operation that is asked for is shown: all of them at once would be slow to make and tiresome to read.
function show() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const found = [...operations()].find(([, , shown]) => shown.operationId === wanted);
  const place = document.getElementById("operations");
  place.replaceChildren(...(found ? [operation(...found)] : []));
  document.getElementById("about").hidden = Boolean(found);
  for (const link of document.querySelectorAll("#index a")) {
    if (found && link.getAttribute("href") === `#${wanted}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = found ? `${found[2].summary} · Krake API` : "Krake API";
  if (found) {
    place.firstChild.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

async function start() {
  try {
    const response = await fetch("openapi.json");
    if (!response.ok) throw new Error(`the server answered with ${response.status}`);
    description = await response.json();
  } catch (error) {
    document.getElementById("trouble").textContent = `The description cannot be read: ${error.message}`;
    return;
  }
  const { info, tags, components } = description;
  document.getElementById("version").textContent = `Version ${info.version}`;
  // Those for requests are shown where they are used.
  const names = Object.keys(components.schemas).filter((name) => !/(Write|Patch|WatchEvent)$/.test(name));
  const schemas = names.map((name) => schemaDetails({ $ref: `#/components/schemas/${name}` }));
  document.getElementById("about").append(...prose(info.description), make("h2", {}, "Schemas"), ...schemas);
  document.getElementById("index").append(...tags.map(index));
  document.getElementById("filter").addEventListener("input", filter);
  window.addEventListener("hashchange", show);
  filter();
  show();
}

start();
