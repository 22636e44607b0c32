// Light and dark: every colour is one of Streamlit's, which change with its theme.
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { RangeSetBuilder } from "@codemirror/state";
import { Decoration, EditorView, ViewPlugin } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const COLORS = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--st-blue-text-color)" },
  { tag: tags.string, color: "var(--st-green-text-color)" },
  { tag: tags.number, color: "var(--st-orange-text-color)" },
  { tag: [tags.bool, tags.null], color: "var(--st-violet-text-color)" },
]);

// as specific as the rule of CodeMirror that it takes the place of
const SELECTION =
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground," +
  " .cm-selectionBackground";
const EDGE = 6; // px between the margin and the text
const HANG = 2; // columns that a wrapped line's rest stands further in than its beginning

// the rest of a wrapped line stands under its beginning, not under the margin
const hanging = ViewPlugin.fromClass(
  class {
    constructor(view) {
      this.update({ view, docChanged: true });
    }

    update({ view, docChanged, viewportChanged }) {
      if (!docChanged && !viewportChanged) return;
      const made = new RangeSetBuilder();
      for (const { from, to } of view.visibleRanges) {
        for (let at = from; at <= to; ) {
          const line = view.state.doc.lineAt(at);
          const columns = line.text.search(/[^ ]|$/) + HANG;
          const style = `padding-left: calc(${EDGE}px + ${columns}ch); text-indent: -${columns}ch`;
          made.add(line.from, line.from, Decoration.line({ attributes: { style } }));
          at = line.to + 1;
        }
      }
      this.decorations = made.finish();
    }
  },
  { decorations: (plugin) => plugin.decorations },
);

const box = {
  color: "var(--st-text-color)",
  backgroundColor: "var(--st-background-color)",
  border: "1px solid var(--st-border-color)",
  borderRadius: "var(--st-base-radius)",
  fontFamily: "var(--st-font)",
};

export function appearance(height) {
  return [
    syntaxHighlighting(COLORS),
    hanging,
    EditorView.theme({
      "&": {
        height: `${height}px`,
        color: "var(--st-text-color)",
        backgroundColor: "var(--st-secondary-background-color)",
        border: "1px solid var(--st-border-color)",
        borderRadius: "var(--st-base-radius)",
        fontSize: "0.875rem",
        overflow: "hidden",
      },
      "&.cm-focused": { outline: "none", borderColor: "var(--st-blue-color)" },
      ".cm-scroller": { fontFamily: "var(--st-code-font)", lineHeight: "1.5", overflow: "auto" },
      ".cm-content": { caretColor: "var(--st-text-color)" },
      ".cm-cursor": { borderLeftColor: "var(--st-text-color)" },
      ".cm-gutters": {
        color: "var(--st-gray-text-color)",
        backgroundColor: "transparent",
        border: "none",
      },
      ".cm-activeLine, .cm-activeLineGutter": {
        backgroundColor: "color-mix(in srgb, var(--st-text-color) 5%, transparent)",
      },
      [SELECTION]: {
        backgroundColor: "color-mix(in srgb, var(--st-blue-color) 30%, transparent)",
      },
      "&.cm-focused .cm-matchingBracket": {
        backgroundColor: "color-mix(in srgb, var(--st-blue-color) 25%, transparent)",
      },
      ".cm-tooltip": { ...box, maxWidth: "min(30rem, 90vw)", zIndex: "1000" },
      ".cm-tooltip-hover, .cm-completionInfo": { padding: "0.4rem 0.6rem", fontSize: "0.8125rem" },
      ".cm-tooltip-lint": { padding: "0" },
      ".cm-tooltip-autocomplete > ul > li[aria-selected]": {
        color: "var(--st-background-color)",
        backgroundColor: "var(--st-link-color)",
      },
      ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--st-code-font)" },
      ".cm-completionDetail": { fontStyle: "normal", opacity: "0.7" },
      ".recipe-detail": { color: "var(--st-gray-text-color)", overflowWrap: "anywhere" },
      ".cm-diagnostic": { whiteSpace: "pre-wrap" },
      ".cm-panels": { ...box, borderRadius: "0" },
      ".cm-panels input, .cm-panels button": {
        color: "inherit",
        background: "var(--st-secondary-background-color)",
        border: "1px solid var(--st-border-color)",
      },
    }),
  ];
}
