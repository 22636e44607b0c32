// The editor and its half of the sync. The other half, and why it loses nothing, is described in
// runner/app/buffer.py: the server holds the last typed text with every later change made in it.
import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from "@codemirror/autocomplete";
import {
  defaultKeymap,
  history,
  historyKeymap,
  indentWithTab,
  isolateHistory,
} from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput } from "@codemirror/language";
import { lintKeymap } from "@codemirror/lint";
import { search, searchKeymap } from "@codemirror/search";
import { Annotation, EditorState, Text } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  tooltips,
} from "@codemirror/view";
import { complete, hover } from "./language.js";
import { checked, given, setGiven } from "./problems.js";
import { appearance } from "./theme.js";

const PAUSE = 200; // ms without a key until what was typed is sent
const received = Annotation.define(); // marks changes that came from the server

// the one span in which two texts differ
function difference(before, after) {
  const shorter = Math.min(before.length, after.length);
  let from = 0;
  while (from < shorter && before[from] === after[from]) from++;
  let kept = 0;
  while (kept < shorter - from && before.at(-1 - kept) === after.at(-1 - kept)) kept++;
  const insert = Text.of(after.slice(from, after.length - kept).split("\n"));
  return { from, to: before.length - kept, insert };
}

export class Editor {
  constructor(root, data, send) {
    this.mount = Math.random().toString(36).slice(2);
    this.count = 0;
    this.send = send;
    this.place = root.appendChild(document.createElement("div"));
    // unmodified keys are text here, not shortcuts of the page around
    this.place.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    });
    this.view = new EditorView({ root, parent: this.place });
    this.open(data);
  }

  // a text of its own: another recipe, or the first
  open(data) {
    clearTimeout(this.timer);
    this.id = null;
    this.session = data.session;
    this.document = data.document;
    this.rev = data.rev;
    this.view.setState(this.state(data));
    this.known = this.text();
    this.view.dispatch({ effects: setGiven.of(data.problems) });
  }

  state(data) {
    const isJson = data.language === "json";
    return EditorState.create({
      doc: data.text,
      extensions: [
        EditorState.lineSeparator.of(data.newline),
        EditorView.clipboardInputFilter.of((text) => text.replace(/\r\n?|\n/g, data.newline)),
        lineNumbers(),
        foldGutter(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        highlightSpecialChars(),
        drawSelection(),
        history(),
        indentOnInput(),
        bracketMatching(),
        closeBrackets(),
        search({ top: true }),
        EditorView.lineWrapping,
        tooltips({ position: "fixed" }),
        isJson ? [json(), autocompletion({ override: [complete] }), hover] : [],
        checked(isJson),
        appearance(data.height),
        EditorView.contentAttributes.of({ "aria-label": data.label, spellcheck: "false" }),
        EditorView.domEventHandlers({
          blur: () => this.flush(),
          keydown: (event) => {
            if (event.ctrlKey || event.metaKey) this.flush(); // it may be the page's 'save'
          },
        }),
        EditorView.updateListener.of((update) => this.changed(update)),
        keymap.of([
          { key: "Tab", run: acceptCompletion },
          ...closeBracketsKeymap,
          ...completionKeymap,
          ...lintKeymap,
          ...searchKeymap,
          ...historyKeymap,
          ...foldKeymap,
          indentWithTab,
          ...defaultKeymap,
        ]),
      ],
    });
  }

  text() {
    return this.view.state.sliceDoc();
  }

  changed(update) {
    if (!update.docChanged || update.transactions.some((tr) => tr.annotation(received))) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), PAUSE);
  }

  // sends the text, if the server has not got it yet
  flush() {
    clearTimeout(this.timer);
    const text = this.text();
    if (text === this.known) return;
    this.known = text;
    this.id = `${this.mount}-${++this.count}`;
    const { rev, id, session, document } = this;
    this.send({ text, base: rev, id, session, document });
  }

  receive(data, send) {
    this.send = send;
    if (data.session !== this.session) {
      // the server was started again: what the user sees is newer than what it read from a file
      if (data.text !== this.text()) this.known = null;
      Object.assign(this, { session: data.session, document: data.document, rev: data.rev });
      this.id = null;
      return this.flush();
    }
    if (data.document !== this.document) return this.open(data);
    const isBehind = data.seen !== this.id || this.text() !== this.known || this.view.composing;
    if (isBehind) {
      // the server makes its later changes in what is typed here, and sends the whole
      if (data.rev > this.rev) this.flush();
      return;
    }
    if (data.rev > this.rev) this.adopt(data);
    this.view.dispatch({ effects: setGiven.of(data.problems) });
  }

  // the smallest change that makes the text the server's: cursor and undo stay
  adopt(data) {
    this.rev = data.rev;
    const before = this.view.state.doc.toString();
    const after = data.text.replaceAll(data.newline, "\n");
    this.view.dispatch({
      changes: difference(before, after),
      annotations: [received.of(true), isolateHistory.of("full")],
    });
    this.known = this.text();
  }

  destroy() {
    clearTimeout(this.timer);
    this.view.destroy();
    this.place.remove();
  }
}
