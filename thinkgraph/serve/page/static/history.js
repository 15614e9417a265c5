// The history: past runs, and the report of one.

import { get, remove } from "./api.js";
import { h, number, one, oneLine } from "./dom.js";

export class History {
  // attempt does what may fail, and says so if it does.
  constructor(view, { attempt, onAgain }) {
    this.attempt = attempt;
    this.asked = 0; // how often rows were asked for; only the last answer is shown
    this.view = view;
    this.onAgain = onAgain;
    this.list = one("#history", view);
    this.older = one("#older", view);
    this.search = one("#search", view);
    this.search.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => attempt(() => this.show()), 200);
    });
    this.older.addEventListener("click", () => attempt(() => this.load(this.last)));
  }

  async show() {
    await this.load("");
  }

  async load(before) {
    const query = new URLSearchParams({ containing: this.search.value, before });
    const asked = ++this.asked;
    const { runs } = await get(`/page/runs?${query}`);
    if (asked !== this.asked) return;
    if (!before) this.list.replaceChildren();
    this.list.append(...runs.map((run) => this.row(run)));
    this.last = runs.at(-1)?.id;
    this.older.hidden = runs.length < 50;
    if (!this.list.childElementCount) {
      this.list.append(
        h("li", { class: "empty" }, this.search.value ? "No run has this." : "No runs yet."),
      );
    }
  }

  row(run) {
    const target = run.status === "running" ? `#/watch/${run.id}` : `#/run/${run.id}`;
    const row = h(
      "li",
      {},
      h(
        "a",
        { href: target },
        h("span", { class: "question" }, oneLine(run.question)),
        h("span", { class: "faint" }, facts(run)),
      ),
      h(
        "span",
        { class: `outcome ${run.status}`, title: run.error ?? run.answer ?? "" },
        outcome(run),
      ),
      h(
        "button",
        {
          type: "button",
          class: "link",
          "aria-label": `Delete: ${oneLine(run.question, 60)}`,
          onclick: () => this.attempt(() => this.forget(run, row)),
        },
        "Delete",
      ),
    );
    return row;
  }

  async forget(run, row) {
    await remove(`/page/runs/${run.id}`);
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    (next?.querySelector("a") ?? this.search).focus();
  }

  // One run: its report in a frame that runs no script.
  async open(id, view) {
    this.opened = id;
    view.replaceChildren();
    const run = await get(`/page/runs/${encodeURIComponent(id)}`);
    if (this.opened !== id) return; // another run was opened meanwhile
    const again = h(
      "button",
      {
        type: "button",
        class: "plain",
        hidden: run.asked === null,
        onclick: () => this.attempt(() => this.onAgain(run.asked, run.seed)),
      },
      "Ask again",
    );
    const head = h(
      "div",
      { class: "bar" },
      h("a", { href: "#/history" }, "History"),
      h("span", { class: "grow" }),
      again,
    );
    if (run.has_report) {
      const address = `/page/runs/${run.id}/report`;
      again.after(
        h(
          "a",
          { class: "button", href: `${address}?download`, download: "" },
          "Download as one file",
        ),
      );
      view.replaceChildren(head, frame(address, run));
      return;
    }
    const why =
      { interrupted: "The server ended before this run did.", running: "This run is under way." }[
        run.status
      ] ?? run.error;
    view.replaceChildren(
      head,
      h("h1", {}, oneLine(run.question, 1000)),
      h("p", { class: "faint" }, facts(run)),
      h("pre", { class: "text bad" }, why ?? ""),
      run.status === "running" ? h("a", { href: `#/watch/${run.id}` }, "Watch it") : null,
    );
  }
}

function frame(address, run) {
  const element = h("iframe", {
    src: address,
    title: `Report: ${oneLine(run.question, 80)}`,
    sandbox: "allow-same-origin",
  });
  element.addEventListener("load", () => {
    const inner = element.contentDocument.documentElement;
    const fit = () => (element.style.height = `${inner.getBoundingClientRect().height + 4}px`);
    new ResizeObserver(fit).observe(inner);
    fit();
  });
  return element;
}

function outcome(run) {
  if (run.status === "done" || run.status === "stopped")
    return oneLine(run.answer || "no answer", 60);
  return run.status;
}

function facts(run) {
  const when = new Date(run.started * 1000).toLocaleString(undefined, {
    dateStyle: "medium",
    timeStyle: "short",
  });
  const parts = [run.strategy, run.model, when];
  if (run.ended) parts.push(`${(run.ended - run.started).toFixed(1)} s`);
  if (run.tokens !== null) parts.push(`${number(run.tokens)} tokens`);
  if (run.status === "stopped") parts.push("stopped");
  return parts.join(" · ");
}
