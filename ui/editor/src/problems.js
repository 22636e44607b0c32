// What is marked in the text and its margin: the schema's findings as one types, and those that
// Python sends, which knows files, rules and memory. Where both mark a place, Python's stays.
import { linter, lintGutter } from "@codemirror/lint";
import { StateEffect, StateField } from "@codemirror/state";
import { findings } from "./language.js";

const WAIT = 150; // ms without a key until the schema is asked
const OFFSETS = ["from", "to"];

export const setGiven = StateEffect.define();

// Python's problems, {from, to, severity, message}: they move with the text, and go where it is
// changed, for they may be solved
export const given = StateField.define({
  create: () => [],
  update(problems, transaction) {
    for (const effect of transaction.effects) {
      if (effect.is(setGiven)) return effect.value.map((p) => within(p, transaction.newDoc));
    }
    if (!transaction.docChanged) return problems;
    const { changes } = transaction;
    return problems
      .filter((p) => !changes.touchesRange(p.from, p.to))
      .map((p) => ({ ...p, from: changes.mapPos(p.from, 1), to: changes.mapPos(p.to, -1) }));
  },
});

function within(problem, doc) {
  const [from, to] = OFFSETS.map((name) => Math.min(problem[name], doc.length));
  return { ...problem, from, to };
}

export function checked(isJson) {
  const source = async (view) => {
    const ours = isJson ? await findings(view.state) : [];
    const theirs = view.state.field(given);
    const isKnown = (a) => theirs.some((b) => a.from <= b.to && b.from <= a.to);
    return [...theirs, ...ours.filter((a) => !isKnown(a))];
  };
  const isNew = (update) =>
    update.transactions.some((tr) => tr.effects.some((effect) => effect.is(setGiven)));
  return [given, linter(source, { delay: WAIT, needsRefresh: isNew }), lintGutter()];
}
