"use strict";
// What a user or a model wrote reaches the page by textContent; only texts that were set as
// Markdown or MathML, with all else escaped, come as HTML, and the page's policy lets no script of theirs run.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const list = document.getElementById("questions");

  function make(tag, name, text, title) {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined && text !== null) node.textContent = text;
    if (title) node.title = title;
    return node;
  }

  // A short answer, set as mathematics where it is LaTeX.
  function short(tag, name, text, title) {
    if (!Object.hasOwn(data.formulas, text)) return make(tag, name, text, title);
    const node = make(tag, name, null, title ?? text);
    node.innerHTML = data.formulas[text];
    return node;
  }

  function grow(parent, ...children) {
    for (const child of children) if (child) parent.appendChild(child);
    return parent;
  }

  // A <details> whose body is made when it is first opened.
  function folded(name, summary, fill) {
    const node = grow(make("details", name), summary);
    node.addEventListener("toggle", () => {
      if (node.open && node.childElementCount === 1) node.appendChild(fill());
    });
    return node;
  }

  // A text as it is read, and below it as it was written, where these differ.
  function written(place) {
    const text = data.texts[place];
    if (data.set[place] === undefined) return make("pre", "text", text);
    const prose = make("div", "prose");
    prose.innerHTML = data.set[place];
    const source = grow(make("details", "source"), make("summary", "", "as it was written"), make("pre", "text", text));
    return grow(make("div"), prose, source);
  }

  const verdict = (row) =>
    !row ? "missing" : row.failure ? "failed" : row.right === null ? "unjudged" : row.right ? "right" : "wrong";
  const words = {
    missing: "not run yet", failed: "failed", unjudged: "not judged", right: "right", wrong: "wrong",
  };
  const answer = (row) => (!row ? "" : row.failure ? row.failure : row.answer ?? "no answer");
  const plural = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;

  function square(label, row) {
    return make("span", `square ${verdict(row)}`, "", `${label}: ${words[verdict(row)]} · ${answer(row)}`);
  }

  function question(q, i) {
    const strip = make("span", "strip");
    data.strategies.forEach((label, j) => strip.appendChild(square(label, q.rows[j])));
    const right = q.rows.filter((row) => row && row.right).length;
    strip.setAttribute("role", "img");
    strip.setAttribute("aria-label", `${right} of ${q.rows.length} right`);
    const summary = grow(make("summary"), make("span", "id", q.id), make("span", "gist", q.text.slice(0, 200)), strip);
    const node = folded("question", summary, () => opened(q));
    node.id = `q-${i}`;
    return node;
  }

  function opened(q) {
    const body = make("div", "body");
    for (const [role, content] of q.messages ?? [])
      grow(body, make("p", "muted role", role), make("pre", "text", content));
    grow(body, make("pre", "text asked", q.text));
    if (q.choices) {
      const options = make("ol", "choices");
      q.choices.forEach((choice) => options.appendChild(make("li", "", choice)));
      grow(body, options);
    }
    grow(body, grow(make("p", "reference"), make("span", "muted", "The right answer: "), short("b", "", q.reference)));
    data.strategies.forEach((label, j) => body.appendChild(strategy(label, q.rows[j])));
    return body;
  }

  function strategy(label, row) {
    const summary = grow(
      make("summary"),
      square(label, row),
      make("span", "label", label),
      short("span", `said ${verdict(row)}`, answer(row) || words.missing),
      make("span", "muted cost", row ? `${row.tokens} tokens · ${plural(row.calls, "call")}` : ""),
    );
    return row ? folded("strategy", summary, () => work(row)) : grow(make("div", "strategy absent"), summary.cloneNode(true));
  }

  function work(row) {
    const body = make("div", "body");
    if (row.failure) grow(body, make("p", "notice", row.failure));
    if (row.cut) grow(body, make("p", "notice", `cut short: ${row.cut}`));
    if (row.votes) grow(body, vote(row));
    const drafts = (row.drafts ?? []).map((place) => data.drafts[place]);
    const text = data.texts[row.text];
    if (text && (drafts.length !== 1 || data.texts[drafts[0][1]] !== text || row.remarks))
      grow(body, make("h4", "", "The answer's text"), written(row.text));
    if (drafts.length > 1 || row.remarks) {
      grow(body, make("h4", "", plural(drafts.length, "candidate")));
      for (const draft of drafts) grow(body, candidate(draft, row));
    } else if (drafts.length) grow(body, facts(drafts[0]), written(drafts[0][1]));
    const known = new Set(drafts.map((draft) => draft[0]));
    for (const remark of row.remarks ?? []) if (!known.has(remark[0])) grow(body, critique(remark));
    return body;
  }

  function vote(row) {
    const box = make("div", "vote");
    const most = Math.max(...row.votes.map((found) => found[1]), 1);
    for (const [value, count] of row.votes) {
      const chosen = value === row.answer;
      const bar = make("span", `bar ${chosen ? verdict(row) : ""}`);
      bar.style.width = `${(100 * count) / most}%`;
      grow(
        box,
        short("span", chosen ? "what chosen" : "what", value || "no answer", value),
        grow(make("span", "track"), bar),
        make("span", "count", count),
      );
    }
    return row.tie ? grow(make("div"), box, make("p", "muted", "A tie: the first that answered was taken.")) : box;
  }

  function candidate(draft, row) {
    const [id, text, value, , live] = draft;
    const summary = grow(
      make("summary"),
      make("span", "id", id),
      make("span", "gist", data.texts[text].slice(0, 160)),
      short("span", value !== null && value === row.answer ? `mark ${verdict(row)}` : "mark", value ?? "no answer"),
    );
    const remarks = (row.remarks ?? []).filter((remark) => remark[0] === id);
    return folded(live ? "draft" : "draft retired", summary, () =>
      grow(make("div", "body"), facts(draft), written(text), ...remarks.map(critique)),
    );
  }

  function facts([, , , tokens, live, finish, score]) {
    const parts = [plural(tokens, "token"), `finished by ${finish}`];
    if (!live) parts.push("retired");
    if (score !== null) parts.push(`score ${score}`);
    return make("p", "muted facts-line", parts.join(" · "));
  }

  function critique([draft, text, accepted]) {
    return grow(
      make("section", "critique"),
      make("p", "muted", `A critic on ${draft}: ${accepted ? "accepted" : "not accepted"}`),
      written(text),
    );
  }

  const judged = (q) => q.rows.filter((row) => row && row.right !== null);
  const filters = {
    all: () => true,
    disagree: (q) => new Set(judged(q).map((row) => row.right)).size > 1,
    lost: (q) => Boolean(q.lost),
    nobody: (q) => judged(q).length > 0 && !judged(q).some((row) => row.right),
    everybody: (q) => judged(q).length > 0 && judged(q).every((row) => row.right),
  };
  const nodes = data.questions.map(question);
  const hay = data.questions.map((q) =>
    [q.id, q.text, q.reference, ...q.rows.map((row) => (row && row.answer) ?? "")].join("\n").toLowerCase(),
  );
  const search = document.getElementById("search");
  const count = document.getElementById("count");
  let chosen = "all";

  function sift() {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    data.questions.forEach((q, i) => {
      const kept = filters[chosen](q) && hay[i].includes(wanted);
      nodes[i].hidden = !kept;
      shown += kept;
    });
    count.textContent = `${shown} of ${plural(nodes.length, "question")}`;
    for (const button of document.querySelectorAll("[data-filter]"))
      button.setAttribute("aria-pressed", String(button.dataset.filter === chosen));
  }

  function follow() {
    const node = /^#q-\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
    if (!node) return;
    if (node.hidden) {
      chosen = "all";
      search.value = "";
      sift();
    }
    node.open = true;
    node.scrollIntoView();
  }

  // The table, sorted by a column: the most first, then the least; what has no number stays last.
  function sortable(table) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    [...table.tHead.rows[0].cells].forEach((head, i) => {
      if (head.dataset.sort === undefined) return;
      const button = make("button", "", head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const next = { none: "descending", descending: "ascending", ascending: "none" }[head.getAttribute("aria-sort") ?? "none"];
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        if (next !== "none") head.setAttribute("aria-sort", next);
        const key = (row) => (row.cells[i].dataset.key ? Number(row.cells[i].dataset.key) : null);
        const sign = next === "ascending" ? 1 : -1;
        const rows = [...original];
        if (next !== "none")
          rows.sort((a, b) => (key(a) === null) - (key(b) === null) || sign * (key(a) - key(b)));
        body.replaceChildren(...rows);
      });
    });
  }

  for (const button of document.querySelectorAll("[data-filter]")) {
    button.textContent += ` ${data.questions.filter(filters[button.dataset.filter]).length}`;
    button.addEventListener("click", () => {
      chosen = button.dataset.filter;
      sift();
    });
  }
  search.addEventListener("input", sift);
  addEventListener("hashchange", follow);
  document.querySelectorAll("table.sortable").forEach(sortable);
  list.replaceChildren(...nodes);
  document.getElementById("tools").hidden = false;
  sift();
  follow();
})();
