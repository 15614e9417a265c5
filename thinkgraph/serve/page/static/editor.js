// The YAML of a strategy in an editor: the checker's problems as one types, and completions.

import {
  EditorState,
  EditorView,
  HighlightStyle,
  autocompletion,
  completionKeymap,
  defaultKeymap,
  drawSelection,
  forceLinting,
  history,
  historyKeymap,
  keymap,
  lineNumbers,
  lintGutter,
  lintKeymap,
  linter,
  startCompletion,
  syntaxHighlighting,
  tags,
  yaml,
} from "./vendor/codemirror.js";
import { post } from "./api.js";
import { count, h } from "./dom.js";

const COLOURS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--bad)" },
  {
    tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace],
    color: "var(--muted)",
  },
]);

export class Editor {
  // onChecked is told the graph, or null while there are errors.
  constructor(box, text, onChecked) {
    this.box = box;
    this.onChecked = onChecked;
    this.problems = [];
    this.view = new EditorView({
      parent: box.querySelector(".editor"),
      state: this.state(text),
    });
  }

  state(text) {
    return EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        yaml(),
        syntaxHighlighting(COLOURS),
        lintGutter(),
        linter((view) => this.check(view), { delay: 300 }),
        autocompletion({ override: [complete], icons: false }),
        // Tab is left to the browser, so that a keyboard gets out again.
        keymap.of([...completionKeymap, ...lintKeymap, ...historyKeymap, ...defaultKeymap]),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": "The strategy in YAML" }),
        EditorState.tabSize.of(2),
      ],
    });
  }

  get text() {
    return this.view.state.doc.toString();
  }

  set text(text) {
    this.view.dispatch({
      changes: { from: 0, to: this.view.state.doc.length, insert: text },
      userEvent: "input.replace", // a step of its own, so that undo brings back what was edited
    });
    this.tell([]);
  }

  checkNow() {
    forceLinting(this.view);
  }

  async check(view) {
    const text = view.state.doc.toString();
    const found = await post("/page/check", { text }).catch((error) => this.fail(error));
    if (!found || view.state.doc.toString() !== text) return [];
    this.tell(found.problems);
    this.onChecked(found.graph);
    return found.problems.map((problem) => ({
      from: place(view.state.doc, problem.line, problem.column),
      to: place(view.state.doc, problem.end_line, problem.end_column),
      severity: problem.severity,
      message: words(problem),
    }));
  }

  // Say that it could not be checked.
  fail(error) {
    const verdict = this.box.querySelector(".verdict");
    verdict.textContent = error.message;
    verdict.classList.add("bad");
  }

  tell(problems) {
    this.problems = problems;
    const errors = problems.filter((problem) => problem.severity === "error").length;
    const warnings = problems.length - errors;
    const verdict = this.box.querySelector(".verdict");
    const said = [errors && count(errors, "error"), warnings && count(warnings, "warning")];
    verdict.textContent = said.filter(Boolean).join(", ") || "No problems";
    verdict.classList.toggle("bad", errors > 0);
    this.box
      .querySelector(".problems")
      .replaceChildren(
        ...problems.map((problem) =>
          h(
            "li",
            { class: problem.severity },
            h(
              "button",
              { type: "button", onclick: () => this.goTo(problem) },
              h("b", {}, `${problem.line}:${problem.column}`),
              ` ${words(problem)} `,
              h("small", {}, problem.code),
            ),
          ),
        ),
      );
  }

  get errors() {
    return this.problems.filter((problem) => problem.severity === "error").length;
  }

  goTo(problem) {
    const doc = this.view.state.doc;
    const anchor = place(doc, problem.line, problem.column);
    const head = place(doc, problem.end_line, problem.end_column);
    this.view.dispatch({ selection: { anchor, head }, scrollIntoView: true });
    this.view.focus();
  }
}

const words = (problem) => problem.message + (problem.hint ? `; ${problem.hint}` : "");

// The checker counts characters, and JavaScript halves of some.
function place(doc, line, column) {
  const found = doc.line(Math.min(Math.max(line, 1), doc.lines));
  const before = [...found.text].slice(0, column - 1).join("");
  return Math.min(found.from + before.length, found.to);
}

async function complete(context) {
  const word = context.matchBefore(/[$\w-]*/);
  const after = /[:\[{,>]\s?$/.test(
    context.state.sliceDoc(Math.max(context.pos - 2, 0), context.pos),
  );
  if (!context.explicit && !word?.text && !after) return null;
  const text = context.state.doc.toString();
  const position = [...text.slice(0, context.pos)].length;
  const found = await post("/page/complete", { text, position });
  if (!found.options.length) return null;
  return {
    from: context.pos - (position - found.from),
    validFor: /^[$\w-]*$/,
    options: found.options.map((option, index) => ({
      label: option.label,
      type: option.type,
      info: option.detail ? () => h("div", {}, option.detail) : undefined,
      apply: option.apply ? inserted(option.apply) : undefined,
      boost: -Math.min(index, 98), // the server's order
    })),
  };
}

const inserted = (text) => (view, completion, from, to) => {
  view.dispatch({ changes: { from, to, insert: text }, selection: { anchor: from + text.length } });
  startCompletion(view);
};
