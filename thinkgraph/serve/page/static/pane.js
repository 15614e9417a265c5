// One strategy: which it is, its params and its YAML, and the run of it that is shown.

import { get, post } from "./api.js";
import { all, asText, count, drawing, h, one, say } from "./dom.js";
import { Editor } from "./editor.js";
import { Live } from "./live.js";
import { Params } from "./params.js";

export class Pane {
  // attempt does what may fail, and says so if it does.
  constructor(strategies, { attempt, onState, onSent }) {
    this.attempt = attempt;
    this.onState = onState;
    this.onSent = onSent;
    this.element = document.getElementById("pane").content.firstElementChild.cloneNode(true);
    this.select = one(".strategy", this.element);
    this.select.append(...strategies.map(({ name }) => h("option", { value: name }, name)));
    this.select.addEventListener("change", () => attempt(() => this.choose(this.select.value)));
    this.params = new Params(one(".params", this.element));
    this.workshop = one(".workshop", this.element);
    this.edit = one(".edit", this.element);
    this.edit.addEventListener("click", () => this.toggleEditor());
    one(".save", this.element).addEventListener("click", () => this.save());
    one(".reset", this.element).addEventListener("click", () => this.reset());
    this.stopButton = one(".stop", this.element);
    this.stopButton.addEventListener("click", () => attempt(() => this.stop()));
    this.live = null;
    this.wanted = null; // params for the spec in the editor, once it has been checked
  }

  // Its name for who can't see where it stands.
  call(name) {
    this.element.setAttribute("aria-label", name);
    this.select.setAttribute("aria-label", name);
  }

  choose(name, values) {
    this.chosen = this.fetch(name, values);
    return this.chosen;
  }

  async fetch(name, values) {
    this.name = this.select.value = name;
    this.wanted = null;
    const found = await get(`/page/strategies/${encodeURIComponent(name)}`);
    if (this.name !== name) return; // another was chosen meanwhile
    this.yaml = found.yaml;
    if (!this.isRunning) this.clear();
    if (this.editor) this.editor.text = found.yaml;
    this.showGraph(found.graph, values);
  }

  // Make room for another strategy's run.
  clear() {
    this.live?.leave();
    this.live = null;
    this.element.classList.remove("ran");
    for (const part of [".flow", ".turns"]) one(part, this.element).replaceChildren();
    for (const part of [".answer", ".vote", ".figures"]) one(part, this.element).hidden = true;
  }

  showGraph(graph, values) {
    this.graph = graph;
    one(".about", this.element).textContent = graph.about;
    this.params.show(graph.params, values);
    if (!this.isRunning) one(".graph", this.element).replaceChildren(drawing(graph.svg));
  }

  // The spec that was edited; null where it is the strategy's own.
  get own() {
    return this.editor && this.editor.text !== this.yaml ? this.editor.text : null;
  }

  openEditor(text = this.yaml) {
    this.workshop.hidden = false;
    this.edit.setAttribute("aria-expanded", "true");
    if (!this.editor) {
      this.editor = new Editor(this.workshop, text, (graph) => {
        if (!graph) return;
        this.showGraph(graph, this.wanted ?? undefined);
        this.wanted = null;
      });
    } else if (text !== this.editor.text) {
      this.editor.text = text;
    }
  }

  toggleEditor() {
    if (this.workshop.hidden) {
      this.openEditor(this.editor?.text ?? this.yaml);
      this.editor.view.focus();
      return;
    }
    this.workshop.hidden = true;
    this.edit.setAttribute("aria-expanded", "false");
  }

  reset() {
    this.editor.text = this.yaml;
    this.editor.checkNow();
    this.editor.view.focus();
  }

  save() {
    const file = new Blob([this.editor.text], { type: "application/yaml" });
    const link = h("a", { href: URL.createObjectURL(file), download: `${this.graph.name}.yaml` });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  get isRunning() {
    return this.live !== null && !this.live.isOver;
  }

  // Why it can't be asked, or nothing.
  get obstacle() {
    const errors = this.own === null ? 0 : this.editor.errors;
    return errors ? `${this.graph.name}: mend ${count(errors, "error")} in the YAML first` : "";
  }

  async ask(shared) {
    await this.chosen; // who is quick asks what was chosen last
    const which = this.own === null ? { strategy: this.name } : { yaml: this.own };
    const params = this.wanted ?? this.params.changed();
    const begun = await post("/page/runs", { ...shared, ...which, params });
    this.watch(begun.id);
    return begun.id;
  }

  watch(id) {
    this.live?.leave();
    this.live = new Live(this.element, id, {
      onSent: this.onSent,
      onState: () => this.state(),
    });
    this.state();
  }

  state() {
    const runs = this.isRunning;
    this.element.classList.add("ran");
    this.stopButton.hidden = !runs;
    this.stopButton.disabled = false;
    this.onState();
  }

  async stop() {
    if (!this.isRunning) return;
    this.stopButton.disabled = true;
    say("Stopping");
    try {
      await this.live.stop();
    } catch (error) {
      this.stopButton.disabled = false;
      throw error;
    }
  }

  remove() {
    this.attempt(() => this.stop());
    this.live?.leave();
    this.element.remove();
  }
}

export function showRequests(requests) {
  const dialog = document.getElementById("sent");
  const shown = requests.map((request) =>
    h(
      "article",
      {},
      h("h3", {}, `${request.node}`, h("span", { class: "kind" }, settings(request.settings))),
      request.messages.map((message) => [
        h("p", { class: "role" }, message.role),
        h("pre", { class: "text" }, message.content),
      ]),
    ),
  );
  one(".requests", dialog).replaceChildren(
    ...(shown.length ? shown : [h("p", {}, "Nothing was sent for it.")]),
  );
  all("[data-close]", dialog).forEach((button) => (button.onclick = () => dialog.close()));
  dialog.showModal();
}

function settings(given) {
  const left = Object.entries(given).filter(([name]) => !["_type", "seeds"].includes(name));
  return left
    .map(([name, value]) => `${name}=${asText(value)}`)
    .join(" ");
}
