// Completion, hover and findings from the recipe's JSON Schema, all in the browser.
import { startCompletion } from "@codemirror/autocomplete";
import { hoverTooltip } from "@codemirror/view";
import { getLanguageService } from "vscode-json-languageservice";
import { TextDocument } from "vscode-languageserver-textdocument";
import schema from "../../../schemas/recipe.schema.json";

const SEVERITIES = { 1: "error", 2: "warning", 3: "info", 4: "hint" }; // DiagnosticSeverity
const STRICT = { schemaValidation: "error", trailingCommas: "error" };
const SNIPPET = 2; // InsertTextFormat.Snippet
const STOP = /\\([\\$}])|\$(\d+)|\$\{(\d+)(?::((?:\\.|[^}\\])*))?\}/g;

// a recipe may name any place for its schema in '$schema': it is always this one
const service = getLanguageService({
  schemaRequestService: async () => JSON.stringify(schema),
  workspaceContext: { resolveRelativePath: (path) => path },
});
service.configure({
  validate: true,
  allowComments: false,
  schemas: [{ uri: "recipe://schema", fileMatch: ["*"], schema }],
});

const parsed = new WeakMap();

function parse(state) {
  if (!parsed.has(state.doc)) {
    const text = TextDocument.create("recipe://recipe.json", "json", 1, state.doc.toString());
    parsed.set(state.doc, { text, tree: service.parseJSONDocument(text) });
  }
  return parsed.get(state.doc);
}

export async function findings(state) {
  const { text, tree } = parse(state);
  const found = await service.doValidation(text, tree, STRICT);
  return found.map(({ range, severity, message }) => ({
    from: text.offsetAt(range.start),
    to: text.offsetAt(range.end),
    severity: SEVERITIES[severity],
    message,
  }));
}

// ---------------------------------------------------------------- completion

export async function complete(context) {
  const { state, pos, explicit } = context;
  if (!explicit && !context.matchBefore(/["\w]|: ?/)) return null;
  const { text, tree } = parse(state);
  const list = await service.doComplete(text, text.positionAt(pos), tree);
  if (!list || context.aborted || !list.items.length) return null;
  const first = list.items.find((item) => item.textEdit)?.textEdit.range;
  const from = first ? text.offsetAt(first.start) : pos;
  const options = list.items.map((item) => option(item, text));
  return { from, options, validFor: /^"?[\w.-]*$/ };
}

function option(item, text) {
  const range = item.textEdit?.range;
  return {
    label: item.filterText ?? item.label,
    displayLabel: item.label,
    type: item.kind === 10 ? "property" : "constant", // CompletionItemKind.Property
    detail: item.detail,
    info: item.documentation ? () => paragraph(plain(item.documentation)) : undefined,
    boost: item.sortText ? -item.sortText.length : 0,
    apply: (view, completion, from, to) => {
      const end = range ? Math.max(to, text.offsetAt(range.end)) : to;
      const made = filled(item.textEdit?.newText ?? item.insertText ?? item.label, item);
      view.dispatch({
        changes: { from, to: end, insert: made.text },
        selection: { anchor: from + made.from, head: from + made.to },
        userEvent: "input.complete",
        scrollIntoView: true,
      });
      if (made.isOpen) startCompletion(view);
    },
  };
}

// a snippet as text, with its first stop selected
function filled(template, item) {
  if (item.insertTextFormat !== SNIPPET) {
    return { text: template, from: template.length, to: template.length };
  }
  let text = "";
  let at = 0;
  let stop = null;
  for (const match of template.matchAll(STOP)) {
    text += template.slice(at, match.index);
    at = match.index + match[0].length;
    const [, escaped, bare, number, inner = ""] = match;
    if (escaped) {
      text += escaped;
      continue;
    }
    const words = inner.replace(/\\(.)/g, "$1");
    const place = { number: Number(bare ?? number) || Infinity, from: text.length };
    text += words;
    if (!stop || place.number < stop.number) stop = { ...place, to: text.length };
  }
  text += template.slice(at);
  const { from, to } = stop ?? { from: text.length, to: text.length };
  return { text, from, to, isOpen: stop !== null && from === to };
}

// ---------------------------------------------------------------- hover

export const hover = hoverTooltip(
  async (view, pos) => {
    const { text, tree } = parse(view.state);
    let node = tree.getNodeFromOffset(pos);
    if (!node) return null;
    const { offset, length } = node;
    if (node.parent?.type === "property" && node.parent.keyNode === node) {
      node = node.parent.valueNode ?? node.parent;
    } else if (node.type === "object" || node.type === "array") {
      return null;
    }
    const found = await service.getMatchingSchemas(text, tree);
    const about = found.filter((match) => match.node === node && !match.inverted);
    const dom = described(about.map((match) => match.schema));
    return dom && { pos: offset, end: offset + length, above: true, create: () => ({ dom }) };
  },
  { hoverTime: 250 },
);

function described(schemas) {
  const known = (name) =>
    schemas.map((schema) => schema[name]).find((value) => value !== undefined);
  if (!known("description")) return null;
  const dom = paragraph(known("description"));
  const [normal, example] = [written(known("default")), written(known("examples")?.[0])];
  for (const [name, value] of [
    ["one of", known("enum")?.map(written).join(", ")],
    ["at least", written(known("minimum"))],
    ["more than", written(known("exclusiveMinimum"))],
    ["at most", written(known("maximum"))],
    ["less than", written(known("exclusiveMaximum"))],
    ["unit", known("x-unit")],
    ["default", normal],
    ["left out", known("x-derived") && "the plan sets it"],
    ["example", example === normal ? "" : example],
  ]) {
    if (value) dom.append(paragraph(`${name}: ${value}`, "detail"));
  }
  return dom;
}

function written(value) {
  return value === undefined || value === "" ? "" : JSON.stringify(value);
}

function plain(documentation) {
  return typeof documentation === "string" ? documentation : documentation.value;
}

function paragraph(text, name = "about") {
  const dom = document.createElement("div");
  dom.className = `recipe-${name}`;
  dom.textContent = text;
  return dom;
}
