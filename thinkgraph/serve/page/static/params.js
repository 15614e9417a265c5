// A strategy's params as a form, made from its spec: types, bounds, choices, defaults.

import { h } from "./dom.js";

export class Params {
  constructor(box) {
    this.box = box;
    this.fields = box.querySelector(".fields");
    this.note = box.querySelector(".changed");
    this.declared = {};
    this.inputs = {};
  }

  // Show other params; values that the new ones have too are kept.
  show(declared, values = this.changed()) {
    this.declared = declared;
    this.inputs = {};
    const rows = Object.entries(declared).map(([name, param]) =>
      this.row(name, param, values[name]),
    );
    this.fields.replaceChildren(...rows);
    this.box.hidden = rows.length === 0;
    if (Object.values(declared).some((param) => param.required)) this.box.open = true;
    this.tell();
  }

  row(name, param, value) {
    const id = `param-${Math.random().toString(36).slice(2)}`;
    const input = this.input(param, value ?? param.default);
    input.id = id;
    input.name = name;
    input.setAttribute("form", "ask");
    input.addEventListener("input", () => this.tell());
    input.addEventListener("invalid", () => (this.box.open = true));
    this.inputs[name] = input;
    const about = [param.about, bounds(param)].filter(Boolean).join("; ");
    if (about) input.setAttribute("aria-describedby", `${id}-about`);
    return h(
      "div",
      { class: "param" },
      h("label", { htmlFor: id }, name),
      input,
      about ? h("small", { id: `${id}-about` }, about) : null,
    );
  }

  input(param, value) {
    if (param.choices?.length) {
      const options = param.choices.map((choice) =>
        h("option", { value: String(choice) }, String(choice)),
      );
      return h(
        "select",
        {},
        options.map((o) => ((o.selected = o.value === String(value)), o)),
      );
    }
    if (param.type === "boolean") return h("input", { type: "checkbox", checked: value === true });
    const shown = value === null || value === undefined ? "" : String(value);
    if (param.type === "string")
      return h("input", { type: "text", value: shown, required: param.required });
    return h("input", {
      type: "number",
      value: shown,
      step: param.type === "integer" ? "1" : "any",
      min: param.minimum ?? "",
      max: param.maximum ?? "",
      required: param.required || param.default !== null,
    });
  }

  // The values that aren't the defaults.
  changed() {
    const found = {};
    for (const [name, input] of Object.entries(this.inputs)) {
      const param = this.declared[name];
      const value = read(input, param);
      if (value !== param.default && value !== null) found[name] = value;
    }
    return found;
  }

  tell() {
    const changed = Object.entries(this.changed()).map(([name, value]) => `${name} = ${value}`);
    const names = Object.keys(this.declared).join(", ");
    this.note.textContent = changed.length ? changed.join(", ") : names;
    this.note.classList.toggle("set", changed.length > 0);
  }
}

function read(input, param) {
  if (input.type === "checkbox") return input.checked;
  if (param.choices?.length)
    return param.choices.find((choice) => String(choice) === input.value) ?? null;
  if (param.type === "string") return input.value || param.default !== null ? input.value : null;
  return input.value === "" ? null : Number(input.value);
}

function bounds(param) {
  if (param.minimum !== null && param.maximum !== null)
    return `${param.minimum} to ${param.maximum}`;
  if (param.minimum !== null) return `at least ${param.minimum}`;
  return param.maximum !== null ? `at most ${param.maximum}` : "";
}
