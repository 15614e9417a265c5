// One candidate or critique: a line that unfolds to its thought, its text and where it came from.

import { asText, count, h, oneLine } from "./dom.js";

export class Card {
  constructor(id, { open, onSent }) {
    this.id = id;
    this.text = "";
    this.thought = "";
    this.tokens = 0;
    this.calls = [];
    this.callsBox = h("div");
    this.parent = null; // the card it continues
    this.gist = h("span", { class: "gist" });
    this.marks = h("span", { class: "marks" });
    this.pre = h("pre", { class: "text" });
    this.thoughtPre = h("pre", { class: "text" });
    this.thoughtLine = h("summary");
    this.thoughtBox = h(
      "details",
      { class: "thought", hidden: true },
      this.thoughtLine,
      this.thoughtPre,
    );
    this.meta = h("p", { class: "meta" });
    this.element = h(
      "details",
      { class: "card growing", open },
      h("summary", {}, h("span", { class: "id" }, id), this.gist, this.marks),
      h("div", { class: "body" }, this.thoughtBox, this.callsBox, this.pre, this.meta),
    );
    this.sentButton = h(
      "button",
      { type: "button", class: "link", onclick: () => onSent(id) },
      "what was sent",
    );
    this.told();
  }

  grow(event) {
    this.text += event.text;
    this.thought += event.reasoning;
    this.tokens = event.tokens;
    this.isThinking = Boolean(event.reasoning) || (this.isThinking && !event.text);
    this.showText();
  }

  candidate(found) {
    const isNew = !this.found;
    this.found = found;
    this.text = found.text;
    this.thought = found.reasoning;
    this.tokens = found.tokens;
    if (found.calls.length) this.showCalls(found.calls);
    this.isThinking = false;
    this.element.classList.remove("growing");
    this.element.classList.toggle("retired", !found.live);
    this.told();
    if (isNew) this.pre.scrollTop = 0;
    if (isNew && !this.text) this.element.open = false;
  }

  // A tool has been called on the way to it.
  called(call) {
    this.showCalls([...this.calls, call]);
  }

  showCalls(calls) {
    this.calls = calls;
    this.callsBox.replaceChildren(...calls.map(callLine));
  }

  critique(found) {
    this.verdict = found;
    this.text = found.text;
    this.tokens = found.tokens;
    this.isThinking = false;
    this.element.classList.remove("growing");
    this.told();
    this.pre.scrollTop = 0;
  }

  // What critics say of it: the last verdicts, by critique.
  judged(critique) {
    this.verdicts = { ...this.verdicts, [critique.id]: critique.accepted };
    this.told();
  }

  wins() {
    this.isWinner = true;
    this.element.classList.add("wins");
    this.told();
  }

  // The text that its parent doesn't have.
  get own() {
    const before = this.parent?.text ?? "";
    return before && this.text.startsWith(before)
      ? this.text.slice(before.length).trimStart()
      : this.text;
  }

  told() {
    this.showText();
    this.meta.replaceChildren(...this.facts(), this.sentButton);
  }

  showText() {
    const own = this.own;
    this.gist.textContent = this.isThinking
      ? "thinking …"
      : oneLine(this.found || this.verdict ? own || "nothing more" : own.slice(-160));
    this.pre.textContent = own;
    this.pre.hidden = !own;
    this.thoughtBox.hidden = !this.thought;
    this.thoughtLine.textContent = this.isThinking
      ? "thinking …"
      : `thought, ${count(this.thought.length, "character")}`;
    this.thoughtPre.textContent = this.thought;
    this.marks.replaceChildren(...this.labels());
  }

  labels() {
    const labels = [];
    if (this.isWinner) labels.push(h("span", { class: "mark good" }, "the answer"));
    if (this.verdict) labels.push(verdict(this.verdict.accepted));
    const found = this.found;
    if (!found)
      return labels.length ? labels : [h("span", { class: "mark" }, `${this.tokens} tokens`)];
    const verdicts = Object.values(this.verdicts ?? {});
    if (verdicts.length === 1) labels.push(verdict(verdicts[0]));
    if (verdicts.length > 1) {
      const accepting = verdicts.filter(Boolean).length;
      const tone = 2 * accepting > verdicts.length ? "good" : "bad";
      labels.push(
        h("span", { class: `mark ${tone}` }, `${accepting} of ${verdicts.length} accept`),
      );
    }
    if (found.score !== null)
      labels.push(h("span", { class: "mark" }, `score ${found.score.toPrecision(3)}`));
    if (!found.live) labels.push(h("span", { class: "mark" }, "retired"));
    if (found.finish_reason !== "stop")
      labels.push(h("span", { class: "mark bad" }, cut(found.finish_reason)));
    labels.push(
      found.answer === null
        ? h("span", { class: "mark faint" }, "no answer")
        : h("span", { class: "mark value" }, oneLine(found.answer, 40)),
    );
    return labels;
  }

  facts() {
    const found = this.found;
    const facts = found || this.verdict ? [count(this.tokens, "token")] : [];
    if (this.verdict) facts.push(`of ${this.verdict.candidate}`);
    if (typeof this.verdict?.probability === "number")
      facts.push(`p = ${this.verdict.probability.toFixed(2)}`);
    if (found?.parents.length) facts.push(`from ${found.parents.join(", ")}`);
    if (found) facts.push(`seed ${found.seed}`);
    return facts.map((fact) => h("span", {}, fact));
  }
}

function callLine({ tool, arguments: given, result, failed, seconds }) {
  const said = Object.entries(given).map(([name, value]) => `${name} = ${asText(value)}`);
  return h(
    "details",
    { class: "thought" },
    h("summary", {}, `${tool || "no tool"}, ${seconds.toFixed(2)} s${failed ? ", an error" : ""}`),
    h("pre", { class: "text" }, said.join("\n")),
    h("pre", { class: "text" }, result),
  );
}

const verdict = (accepted) =>
  h("span", { class: `mark ${accepted ? "good" : "bad"}` }, accepted ? "accepted" : "not accepted");

const cut = (reason) =>
  ({ length: "token limit", budget: "cut short", cancelled: "cancelled", error: "failed" })[
    reason
  ] ?? reason;
