// A run as it goes on: its graph, its candidates side by side, its vote and what it has spent.

import { follow, post } from "./api.js";
import { Card } from "./card.js";
import { all, count, drawing, h, number, one, oneLine, say } from "./dom.js";
import { Turn } from "./turn.js";

const TREES = new Set(["expand", "search"]);
const section = (id) => id.slice(0, id.lastIndexOf("."));
const outer = (node) => node.split("/")[0].split(".")[0];

export class Live {
  constructor(pane, id, { onSent, onState }) {
    this.pane = pane;
    this.id = id;
    this.graph = { nodes: {}, arrows: [] }; // until it is told
    this.onSent = onSent;
    this.onState = onState;
    this.cards = new Map();
    this.sections = new Map();
    this.sent = [];
    this.turns = new Map();
    this.working = new Set();
    this.flow = one(".flow", pane);
    this.flow.replaceChildren(h("p", { class: "waiting" }, "Waiting for the model …"));
    one(".answer", pane).hidden = true;
    one(".vote", pane).hidden = true;
    one(".turns", pane).replaceChildren();
    this.figures = one(".figures", pane);
    this.figures.hidden = false;
    this.showFigures({ tokens: 0, seconds: 0 });
    this.away = h(
      "p",
      { class: "problem", role: "status", hidden: true },
      "The server can't be reached; trying again …",
    );
    this.flow.before(this.away);
    this.unfollow = follow(id, {
      onEvent: (event) => this.take(event),
      onAway: (isAway) => (this.away.hidden = !isAway),
      onLost: () => this.lost(),
    });
  }

  leave() {
    this.unfollow();
    this.away.remove();
  }

  take(event) {
    const handler = `on_${event.event}`;
    if (handler in this) this[handler](event);
  }

  async stop() {
    await post(`/page/runs/${this.id}/stop`);
  }

  draw(svg) {
    one(".graph", this.pane).replaceChildren(drawing(svg));
  }

  on_graph({ graph }) {
    this.graph = graph;
    this.draw(graph.svg);
  }

  on_node({ node, round }) {
    one(".waiting", this.flow)?.remove();
    const name = outer(node);
    for (const [source, target] of this.graph.arrows)
      if (target === name) this.working.delete(source);
    if (name === "conclude") this.working.clear();
    this.working.add(name);
    this.mark();
    this.section(`${node}.${round}`, node, round);
    say(`${node} begins`);
  }

  mark() {
    for (const box of all("[data-node]", this.pane)) {
      const works = this.working.has(box.dataset.node);
      box.classList.toggle("at-work", works);
      if (works) box.classList.add("was-at-work");
    }
  }

  section(key, node, round) {
    if (this.sections.has(key)) return this.sections.get(key);
    const kind = this.graph.nodes[node] ?? ""; // of a node within a used graph it isn't known
    const isTree = TREES.has(kind);
    const cards = h("div", { class: isTree ? "tree" : "cards" });
    const note = h("span", { class: "note" });
    const sent = h(
      "button",
      {
        type: "button",
        class: "link",
        hidden: true,
        onclick: () => this.show((r) => r.key === key),
      },
      "what was sent",
    );
    const again = round ? `, ${ordinal(round + 1)} time` : "";
    const element = h(
      "section",
      { class: "step quiet", "aria-label": `${node}${again}` },
      h(
        "h3",
        {},
        node,
        h("span", { class: "kind" }, (kind === node ? again : kind + again).replace(/^, /, "")),
        note,
        sent,
      ),
      cards,
    );
    this.flow.append(element);
    const found = { key, kind, isTree, element, cards, note, sentButton: sent };
    this.sections.set(key, found);
    this.refresh(found);
    return found;
  }

  refresh(found) {
    found.sentButton.hidden = !this.sent.some((request) => request.key === found.key);
    found.element.classList.toggle("quiet", !found.cards.childElementCount);
  }

  card(id, node) {
    if (this.cards.has(id)) return this.cards.get(id);
    const key = section(id);
    const round = Number(key.slice(key.lastIndexOf(".") + 1)) || 0;
    const place = this.section(key, node, round);
    const card = new Card(id, {
      open: !place.isTree,
      onSent: (of) =>
        this.show((request) =>
          request.ids.length ? request.ids.includes(of) : request.key === section(of),
        ),
    });
    this.cards.set(id, card);
    place.cards.append(place.isTree ? h("div", { class: "branch" }, card.element) : card.element);
    this.refresh(place);
    return card;
  }

  on_delta(event) {
    this.card(event.id, event.node).grow(event);
  }

  on_candidate(found) {
    const card = this.card(found.id, found.node);
    if (!card.found) this.place(card, found);
    card.candidate(found);
    const key = section(found.id);
    const cards = [...this.cards.values()].filter((other) => section(other.id) === key);
    const done = cards.filter((other) => other.found).length;
    const place = this.sections.get(key);
    place.note.textContent = cards.length > 1 ? `${done} of ${cards.length} done` : "";
  }

  // A step of a search goes below the step that it continues.
  place(card, found) {
    const parent = found.parents.length === 1 ? this.cards.get(found.parents[0]) : null;
    const place = this.sections.get(section(found.id));
    const branch = parent?.element.closest(".branch");
    if (!place.isTree || !branch) return;
    card.parent = parent;
    let children = one(":scope > .children", branch);
    if (!children) {
      children = h("div", { class: "children" });
      const fold = h("button", { type: "button", class: "fold", "aria-expanded": "true" });
      fold.addEventListener("click", () => {
        children.hidden = !children.hidden;
        fold.setAttribute("aria-expanded", String(!children.hidden));
        label(fold, children, parent.id);
      });
      branch.append(fold, children);
    }
    const moved = card.element.closest(".branch");
    children.append(moved);
    label(one(":scope > .fold", branch), children, parent.id);
    this.refresh(place);
    if (!place.cards.childElementCount) place.note.textContent = "continues the steps above";
  }

  on_tool({ id, node, call }) {
    this.card(id, node).called(call);
  }

  on_critique(found) {
    this.card(found.id, found.node).critique(found);
    this.cards.get(found.candidate)?.judged(found);
  }

  on_sent(event) {
    const key = `${event.node}.${event.round}`;
    this.sent.push({ ...event, key });
    const found = this.sections.get(key);
    if (found) this.refresh(found);
  }

  show(wanted) {
    this.onSent(this.sent.filter(wanted));
  }

  on_vote(event) {
    if (!event.classes.length || event.of < 2) return;
    this.hasVoted = event.final;
    const box = one(".vote", this.pane);
    const most = Math.max(...event.classes.map((found) => found.share), 1e-9);
    const rows = event.classes.slice(0, 12).map((found, i) => {
      const bar = h("span", { class: "fill" });
      bar.style.width = `${(100 * found.share) / most}%`;
      const leads = i === 0 && !event.tie;
      return h(
        "li",
        {
          class: leads ? "leads" : "",
          tabIndex: event.final ? 0 : -1,
          onmouseenter: () => this.highlight(found.members),
          onmouseleave: () => this.highlight([]),
          onfocus: () => this.highlight(found.members),
          onblur: () => this.highlight([]),
        },
        h("span", { class: "what", title: found.value }, oneLine(found.value, 60)),
        h("span", { class: "rail", "aria-hidden": "true" }, bar),
        h("span", { class: "votes" }, String(found.votes)),
      );
    });
    const left = event.classes.length - rows.length;
    if (left > 0) rows.push(h("li", {}, h("span", { class: "what faint" }, `and ${left} more`)));
    if (event.abstentions) {
      rows.push(
        h(
          "li",
          {},
          h("span", { class: "what faint" }, "no answer"),
          h("span", { class: "rail" }),
          h("span", { class: "votes" }, String(event.abstentions)),
        ),
      );
    }
    box.hidden = false;
    box.replaceChildren(
      h(
        "h3",
        {},
        event.final ? "The vote" : "The vote so far",
        event.tie ? h("span", { class: "kind" }, "a tie") : null,
      ),
      h("ol", {}, rows),
    );
  }

  highlight(members) {
    for (const [id, card] of this.cards)
      card.element.classList.toggle("voter", members.includes(id));
  }

  on_answer(event) {
    this.reached = event;
  }

  // The run waits for a person.
  on_waiting({ number, request }) {
    const turn = new Turn(request, (reply) =>
      post(`/page/runs/${this.id}/replies/${number}`, { reply }),
    );
    this.turns.set(number, turn);
    one(".turns", this.pane).append(turn.element);
    turn.call();
    this.onState();
  }

  on_replied({ number }) {
    this.turns.get(number)?.element.remove();
    this.turns.delete(number);
    this.onState();
  }

  on_load(event) {
    this.showFigures(event);
  }

  showFigures({ tokens, seconds, cells, all_cells }) {
    if (cells !== undefined) this.peak = Math.max(this.peak ?? 0, cells);
    const rows = [
      ["Tokens", number(tokens)],
      ["Seconds", seconds.toFixed(1)],
    ];
    if (all_cells) rows.push(["KV cells", `${number(cells)} of ${number(all_cells)}`]);
    else if (this.peak) rows.push(["KV cells at most", number(this.peak)]);
    this.figures.replaceChildren(
      ...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    );
  }

  on_end(event) {
    this.isOver = true;
    this.turns.clear();
    one(".turns", this.pane).replaceChildren();
    this.working.clear();
    this.mark();
    one(".waiting", this.flow)?.remove();
    if (event.svg) this.draw(event.svg);
    if (!this.hasVoted) one(".vote", this.pane).hidden = true; // nothing was decided by one
    this.showFigures(event);
    for (const card of this.cards.values()) card.element.classList.remove("growing");
    if (event.output !== null && event.output !== undefined)
      this.cards.get(this.reached?.candidate)?.wins();
    this.tellAnswer(event);
    this.onState();
  }

  tellAnswer(event) {
    const box = one(".answer", this.pane);
    const reached = this.reached;
    const parts = [];
    if (event.error) {
      const failed = event.status === "stopped" ? "Stopped" : "The run failed";
      parts.push(
        h("p", { class: "eyebrow" }, failed),
        h("pre", { class: "text bad" }, event.error),
      );
      say(`${failed}: ${event.error}`);
    } else {
      const value = reached?.value ?? null;
      const output = event.output?.trim() || "no answer";
      parts.push(h("p", { class: "eyebrow" }, title(event, value)));
      parts.push(
        output.length > 120 || output.includes("\n")
          ? h("pre", { class: "text" }, output)
          : h("p", { class: "value" }, output),
      );
      if (reached?.note && reached.of > 1) parts.push(h("p", { class: "faint" }, reached.note));
      say(`The answer: ${oneLine(output)}`);
    }
    if (event.cut) parts.push(h("p", { class: "bad" }, `Cut short: ${event.cut}`));
    if (event.unkept) parts.push(h("p", { class: "bad" }, `Not kept: ${event.unkept}`));
    for (const failure of event.failures ?? [])
      parts.push(h("p", { class: "bad" }, `Failed: ${failure}`));
    if (event.usage && !event.unkept) {
      parts.push(
        h(
          "p",
          { class: "bar" },
          h("a", { href: `#/run/${this.id}` }, "Report"),
          h(
            "a",
            { href: `/page/runs/${this.id}/report?download`, download: "" },
            "Download as one file",
          ),
          h(
            "span",
            { class: "faint" },
            `seed ${event.seed} · ${count(event.usage.model_calls, "model call")} · ${number(event.usage.prompt_tokens)} prompt tokens, ${number(event.usage.cached_tokens)} from the cache`,
          ),
        ),
      );
    }
    box.className = `answer ${event.error || reached?.value === null ? "none" : event.accepted === false ? "doubtful" : ""}`;
    box.replaceChildren(...parts);
    box.hidden = false;
  }

  lost() {
    this.away.hidden = true;
    if (this.isOver) return;
    this.isOver = true;
    this.tellAnswer({
      error: "the connection to the server was lost; the history has the run if it ended",
    });
    this.onState();
  }
}

const label = (fold, children, id) => {
  const size = children.childElementCount;
  fold.textContent = `${children.hidden ? "▸" : "▾"} ${count(size, "step")}`;
  fold.setAttribute("aria-label", `${count(size, "step")} after ${id}`);
};

const ordinal = (n) =>
  `${n}${["th", "st", "nd", "rd"][n % 10 > 3 || (n % 100 > 10 && n % 100 < 14) ? 0 : n % 10]}`;

function title(event, value) {
  if (event.status === "stopped") return "Stopped; the best answer so far";
  if (event.accepted === false) return "Answer, not accepted by its critics";
  return value === null ? "No comparable answer was found; the text is" : "Answer";
}
