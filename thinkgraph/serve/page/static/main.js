// The page: what is asked of whom, which view is shown, and what the address says of both.

import { Refusal, get } from "./api.js";
import { all, h, one, say } from "./dom.js";
import { History } from "./history.js";
import { Pane, showRequests } from "./pane.js";

const FIRST = "self-consistency";
const SECOND = "chain-of-thought";
const form = one("#ask");
const question = one("#question");
const problem = one("#problem");
const panes = [];
const history = new History(one("#history-view"), { attempt, onAgain: askAgain });
let strategies = [];
let models = [];

async function begin() {
  const found = await get("/page/strategies");
  ({ strategies, models } = found);
  one("#model").append(...models.map((name) => h("option", { value: name }, name)));
  await addPane(prefer(FIRST));
  window.addEventListener("hashchange", () => attempt(route));
  await route();
}

const prefer = (name) =>
  strategies.some((each) => each.name === name) ? name : strategies[0].name;

async function addPane(name, values) {
  const pane = new Pane(strategies, { attempt, onState: state, onSent: showRequests });
  panes.push(pane);
  one("#panes").append(pane.element);
  namePanes();
  await pane.choose(name, values);
  return pane;
}

function namePanes() {
  const two = panes.length > 1;
  panes.forEach((pane, i) =>
    pane.call(two ? ["First strategy", "Second strategy"][i] : "Strategy"),
  );
  one("#panes").classList.toggle("two", two);
  document.body.classList.toggle("wide", two);
  one("#compare").setAttribute("aria-pressed", String(two));
}

async function setPanes(size) {
  while (panes.length > size) panes.pop().remove();
  if (panes.length < size) await addPane(prefer(SECOND));
  namePanes();
  state();
}

function state() {
  const running = panes.filter((pane) => pane.isRunning).length;
  one("#stop").hidden = running === 0;
  one("#go").disabled = running > 0;
  one("#compare").disabled = running > 0;
  const waits = panes.some((pane) => pane.live?.turns.size);
  const title = waits ? "waits for you · " : running ? "thinking … · " : "";
  document.title = `${title}thinkgraph`;
}

const limit = (id) => (one(id).value === "" ? null : Number(one(id).value));

async function ask() {
  const obstacle = panes.map((pane) => pane.obstacle).find(Boolean);
  if (obstacle) throw new Refusal(obstacle);
  const shared = {
    question: question.value,
    model: one("#model").value,
    seed: limit("#seed"),
    tokens: limit("#tokens"),
    seconds: limit("#seconds"),
  };
  one("#go").disabled = true;
  try {
    const ids = await Promise.all(panes.map((pane) => pane.ask(shared)));
    window.history.replaceState(null, "", `#/watch/${ids.join(",")}`);
    say("Asked");
  } finally {
    state();
  }
}

// The same question again, to the same strategy with the same params and seed.
async function askAgain(asked, seed) {
  const names = strategies.map(({ name }) => name);
  checkOffered("strategy", asked.strategy, names);
  checkOffered("model", asked.model, models);
  location.hash = "#/";
  await setPanes(1);
  question.value = asked.question;
  if (asked.model) one("#model").value = asked.model;
  one("#seed").value = asked.seed ?? seed ?? "";
  one("#tokens").value = asked.tokens ?? "";
  one("#seconds").value = asked.seconds ?? "";
  await restore(panes[0], asked);
  one("#go").focus();
}

function checkOffered(what, name, names) {
  if (name && !names.includes(name))
    throw new Refusal(`this server doesn't offer the ${what} '${name}'`);
}

async function restore(pane, asked) {
  await pane.choose(asked.strategy || prefer(FIRST), asked.params);
  if (asked.yaml) {
    pane.wanted = asked.params;
    pane.openEditor(asked.yaml);
    pane.editor.checkNow();
  }
}

// Runs that were left or reloaded are watched on, as long as the server has them.
async function watchAgain(ids) {
  if (panes.map((pane) => pane.live?.id).join() === ids.join()) return;
  const runs = await Promise.all(ids.map((id) => get(`/page/runs/${encodeURIComponent(id)}`)));
  if (runs.length === 1 && runs[0].status !== "running") {
    location.replace(`#/run/${runs[0].id}`);
    return;
  }
  await setPanes(runs.length);
  question.value = runs[0].question;
  for (const [i, run] of runs.entries()) {
    await restore(panes[i], run.asked);
    panes[i].watch(run.id);
  }
}

async function route() {
  const [, view = "", rest = ""] = location.hash.split("/");
  const shown = { history: "history", run: "run" }[view] ?? "ask";
  for (const name of ["ask", "history", "run"]) one(`#${name}-view`).hidden = name !== shown;
  for (const link of all("[data-nav]")) {
    const here = link.dataset.nav === (shown === "run" ? "history" : shown);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (shown === "history") await history.show();
  else if (shown === "run") await history.open(rest, one("#run-view"));
  else if (view === "watch") await watchAgain(rest.split(",").filter(Boolean).slice(0, 2));
  else if (!panes.some((pane) => pane.isRunning)) question.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

// Whatever goes wrong is said where one looks.
async function attempt(work) {
  problem.hidden = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error);
    problem.textContent = error.message;
    problem.hidden = false;
    const view = all("main > section").find((each) => !each.hidden);
    if (view.contains(form)) form.append(problem);
    else view.prepend(problem);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(ask);
});
form.addEventListener(
  "invalid",
  (event) => event.target.closest("details")?.setAttribute("open", ""),
  true,
);
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !one("#go").disabled)
    form.requestSubmit();
});
const limits = one(".limits");
document.addEventListener(
  "click",
  (event) => limits.contains(event.target) || (limits.open = false),
);
limits.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  limits.open = false;
  one("summary", limits).focus();
});
one("#compare").addEventListener("click", () => attempt(() => setPanes(panes.length > 1 ? 1 : 2)));
one("#stop").addEventListener("click", () =>
  attempt(() => Promise.all(panes.map((pane) => pane.stop()))),
);
one("[data-skip]").addEventListener("click", (event) => {
  event.preventDefault();
  question.focus();
});

attempt(begin);
