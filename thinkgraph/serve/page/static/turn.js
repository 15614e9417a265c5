// A person's turn in a run: what a node asks, and a form for the reply.

import { asText, h, one, oneLine, say } from "./dom.js";

// The ways to reply. `text` is the label of the text that a way needs, `fill` what it begins with;
// `of` is whether it is about one candidate or all of them.
const REVIEW = [
  { label: "Choose it", of: "one", reply: (id) => ({ choose: id }) },
  { label: "Accept all", of: "all", reply: () => true },
  {
    label: "Edit it",
    of: "one",
    text: "The answer, written anew",
    fill: (candidate) => candidate?.text ?? "",
    reply: (id, text) => ({ choose: id, edit: text }),
  },
  {
    label: "Make a remark",
    of: "both",
    text: "What is wrong with it",
    reply: (id, text) => (id ? { choose: id, remark: text } : { remark: text }),
  },
  { label: "Reject all", of: "all", reply: () => false },
];

const APPROVE = (given) => [
  { label: "Make the call", reply: () => true },
  {
    label: "Make it with other arguments",
    text: "Arguments, as a JSON object",
    fill: () => JSON.stringify(given, null, 2),
    reply: (id, text) => ({ arguments: object(text) }),
  },
  { label: "Refuse it", reply: () => false },
  {
    label: "Refuse it with a remark",
    text: "What the model is told",
    reply: (id, text) => ({ remark: text }),
  },
];

const OTHER = [{ label: "Reply", text: "Your reply, as JSON or a text", reply: (id, text) => value(text) }];

export class Turn {
  constructor(request, send) {
    this.send = send;
    this.candidates = request?.candidates ?? [];
    this.key = `turn-${Math.random().toString(36).slice(2)}`;
    this.title = h("h3", { tabIndex: -1 }, title(request));
    this.problem = h("p", { class: "problem", role: "alert", hidden: true });
    this.text = h("textarea", { rows: 4, required: true, "aria-keyshortcuts": "Control+Enter" });
    this.textLabel = h("span");
    this.textBox = h("label", { class: "reply-text", hidden: true }, this.textLabel, this.text);
    this.ways = h("fieldset", { class: "ways" });
    this.button = h("button", { type: "submit", class: "main" }, "Send");
    this.element = h(
      "form",
      { class: "turn", autocomplete: "off" },
      this.title,
      details(request),
      this.problem,
      this.candidates.length > 1 ? this.options() : this.candidates.map(shown),
      this.ways,
      this.textBox,
      h("div", { class: "bar" }, this.button),
    );
    if (request?.error) this.tell(request.error);
    this.all = request?.review ? REVIEW : request?.approve ? APPROVE(request.arguments) : OTHER;
    this.showWays();
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.reply();
    });
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.element.requestSubmit();
    });
    this.text.addEventListener("input", () => this.text.setCustomValidity(""));
  }

  // Say that it is somebody's turn. Who is writing keeps the focus.
  call() {
    say(this.title.textContent);
    const active = document.activeElement;
    if (!active.matches("input, select, textarea:not(#question), .cm-content")) this.title.focus();
  }

  options() {
    const rows = this.candidates.map((candidate, i) =>
      this.option(candidate.id, `${i + 1}: ${candidate.answer ?? "no answer"}`, shown(candidate)),
    );
    rows.push(this.option("", "all of them", h("span", {}, "All of them")));
    return h("fieldset", { class: "options" }, h("legend", { class: "hidden" }, "Which"), rows);
  }

  option(id, name, content) {
    const input = h("input", {
      type: "radio",
      name: `${this.key}-which`,
      value: id,
      required: true,
      "aria-label": name,
      onchange: () => this.showWays(),
    });
    return h("label", { class: "option" }, input, content);
  }

  // The candidate that is chosen; null for all of them, and where none is chosen yet.
  get chosen() {
    if (this.candidates.length === 1) return this.candidates[0];
    const id = one(`[name="${this.key}-which"]:checked`, this.element)?.value;
    return this.candidates.find((candidate) => candidate.id === id) ?? null;
  }

  get isAboutAll() {
    return one(`[name="${this.key}-which"]:checked`, this.element)?.value === "";
  }

  // The ways to reply that fit what is chosen.
  showWays() {
    const single = this.candidates.length === 1;
    const about = this.isAboutAll ? "all" : "one";
    const fitting = this.all.filter((way) =>
      single ? way.label !== "Choose it" : !way.of || way.of === "both" || way.of === about,
    );
    const kept = fitting.includes(this.way) ? this.way : fitting[0];
    this.ways.replaceChildren(
      h("legend", { class: "hidden" }, "Reply"),
      ...fitting.map((way) => {
        const input = h("input", {
          type: "radio",
          name: `${this.key}-way`,
          checked: way === kept,
          onchange: () => this.take(way),
        });
        return h("label", {}, input, single ? way.label.replace(" all", " it") : way.label);
      }),
    );
    this.ways.hidden = fitting.length === 1;
    this.take(kept);
  }

  take(way) {
    const filled = way.fill?.(this.chosen) ?? "";
    if (way !== this.way || (way.fill && this.text.value === this.filled)) this.text.value = filled;
    this.way = way;
    this.filled = filled;
    this.textBox.hidden = this.text.disabled = !way.text;
    this.textLabel.textContent = way.text ?? "";
    this.text.setCustomValidity("");
  }

  async reply() {
    const text = this.text.value.trim();
    if (this.way.text && !text) return this.refuse("Write something first.");
    this.button.disabled = true;
    try {
      await this.send(this.way.reply(this.chosen?.id, text));
    } catch (error) {
      this.button.disabled = false;
      if (error instanceof SyntaxError) this.refuse("This is no JSON object.");
      else this.tell(error.message);
    }
  }

  refuse(why) {
    this.text.setCustomValidity(why);
    this.text.reportValidity();
  }

  tell(problem) {
    this.problem.textContent = problem;
    this.problem.hidden = false;
  }
}

function title(request) {
  if (request?.review) return request.ask || `${request.review}: which answer is right?`;
  if (request?.approve) return `May ${request.tool} be called?`;
  return "The run waits for your reply";
}

function details(request) {
  if (request?.review) return null;
  if (!request?.approve) return h("pre", { class: "text" }, JSON.stringify(request, null, 2));
  const given = Object.entries(request.arguments).map(
    ([name, value]) => `${name} = ${asText(value)}`,
  );
  return [
    h("p", { class: "faint" }, `for ${request.approve}`),
    h("pre", { class: "text" }, given.join("\n")),
  ];
}

function shown({ id, text, answer, score, critiques }) {
  return h(
    "div",
    { class: "shown" },
    h(
      "div",
      { class: "bar" },
      h("span", { class: "id" }, id),
      h("span", { class: "grow" }),
      score === null ? null : h("span", { class: "mark" }, `score ${score.toPrecision(3)}`),
      h("span", { class: "mark value" }, answer === null ? "no answer" : oneLine(answer, 40)),
    ),
    h("pre", { class: "text" }, text),
    critiques.map((each) =>
      h(
        "p",
        { class: `critique ${each.accepted ? "" : "bad"}` },
        `${each.accepted ? "accepted" : "not accepted"}: ${each.text}`,
      ),
    ),
  );
}

function object(text) {
  const found = JSON.parse(text);
  if (found === null || typeof found !== "object" || Array.isArray(found)) throw new SyntaxError();
  return found;
}

function value(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
