// Elements from data. What a model or a user wrote becomes text nodes, never markup.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && !name.startsWith("aria")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined),
  );
  return element;
}

export const one = (selector, within = document) => within.querySelector(selector);
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// The server draws graphs and escapes every name in them; no script survives this parser's import.
export function drawing(svg) {
  const parsed = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  return parsed.nodeName === "svg" ? document.importNode(parsed, true) : h("p", {}, "no drawing");
}

export const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value));
export const count = (n, noun) => `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
export const number = (n) => new Intl.NumberFormat("en").format(n).replaceAll(",", "\u202f");

const REGION = "said";
export function say(text) {
  document.getElementById(REGION).textContent = text;
}

export function oneLine(text, most = 200) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > most ? `${line.slice(0, most)}…` : line;
}
