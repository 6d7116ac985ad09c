"use strict";
(() => {
  const source = document.getElementById("cells");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const PAGE = 50;
  const state = { text: "", show: "all", page: 0, by: -2, down: false };
  const find = (id) => document.getElementById(id);
  const make = (name, parent, css, text) => {
    const node = document.createElement(name);
    if (css) node.className = css;
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  };
  // A row is [key, values, cells]; a cell is [line, sample, mark, score, output, error, reason, cost, ms].
  const rows = data.rows.map((row, place) => ({
    place,
    row,
    text: [row[0], ...row[1], ...row[2].flatMap((c) => [c[4], c[5], c[6]])].join("\n").toLowerCase(),
  }));
  const fits = {
    all: () => true,
    failed: (cells) => cells.some((c) => c[2] === "fail"),
    errors: (cells) => cells.some((c) => c[2] === "error"),
    disagree: (cells) => new Set(cells.filter((c) => c[2] !== "error").map((c) => `${c[2]} ${c[3]}`)).size > 1,
  };
  // A column that only repeats the rows' names is not shown twice.
  const shown = data.columns.map((_, n) => n).filter((n) => !data.keys || rows.some(({ row }) => row[1][n] !== row[0]));
  const score = (row, line) => {
    const found = row[2].filter((c) => c[0] === line && c[3] !== null).map((c) => c[3]);
    return found.length ? found.reduce((a, b) => a + b, 0) / found.length : null;
  };
  const chosen = () => {
    const words = state.text.toLowerCase().trim();
    const found = rows.filter((r) => (!words || r.text.includes(words)) && fits[state.show](r.row[2]));
    const way = state.down ? -1 : 1;
    if (state.by === -2) return state.down ? found.reverse() : found;
    return found.sort((a, b) => {
      const x = score(a.row, state.by);
      const y = score(b.row, state.by);
      if (x === y) return a.place - b.place;
      if (x === null) return 1;
      if (y === null) return -1;
      return way * (x - y);
    });
  };
  const heading = (line, text, by) => {
    const th = make("th", line);
    if (by === undefined) {
      th.textContent = text;
      return;
    }
    th.setAttribute("aria-sort", state.by === by ? (state.down ? "descending" : "ascending") : "none");
    const arrow = state.by === by ? (state.down ? " ↓" : " ↑") : "";
    make("button", th, "", text + arrow).addEventListener("click", () => {
      state.down = state.by === by && !state.down;
      state.by = by;
      state.page = 0;
      draw();
    });
  };
  const named = (tr, name) => {
    const td = make("td", tr);
    td.dataset.name = name;
    return td;
  };
  const cellNode = (td, cell) => {
    const [, sample, mark, value, output, error, reason, cost, ms] = cell;
    const facts = [data.samples > 1 ? `#${sample + 1}` : "", mark, value === null ? "" : value.toFixed(2)];
    make("div", td, `mark ${mark}`, facts.filter(Boolean).join(" · "));
    if (output || error) make("div", td, "text", mark === "error" ? error : output);
    if (reason) make("div", td, "why", reason);
    make("div", td, "why", [cost === "unknown" ? "cost unknown" : `$${cost}`, ms === null ? "" : `${ms} ms`].filter(Boolean).join(" · "));
  };
  const draw = () => {
    const found = chosen();
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const table = find("rows");
    table.replaceChildren();
    const head = make("tr", make("thead", table));
    heading(head, data.keys ? "Row" : "", -2);
    shown.forEach((n) => heading(head, data.columns[n]));
    data.lines.forEach((name, line) => heading(head, name, line));
    const body = make("tbody", table);
    for (const { row } of found.slice(state.page * PAGE, (state.page + 1) * PAGE)) {
      const tr = make("tr", body);
      const turn = () => tr.setAttribute("aria-expanded", tr.classList.toggle("open"));
      tr.tabIndex = 0;
      tr.setAttribute("aria-expanded", "false");
      tr.addEventListener("click", () => String(getSelection()) || turn());
      tr.addEventListener("keydown", (e) => {
        if (e.key !== "Enter" && e.key !== " ") return;
        e.preventDefault();
        turn();
      });
      make("td", tr, "", row[0]);
      for (const n of shown) make("div", named(tr, data.columns[n]), "text", row[1][n]);
      data.lines.forEach((name, line) => {
        const td = named(tr, name);
        row[2].filter((c) => c[0] === line).forEach((c) => cellNode(td, c));
      });
    }
    find("count").textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows, page ${state.page + 1} of ${pages}`;
    find("back").disabled = state.page === 0;
    find("next").disabled = state.page + 1 >= pages;
  };
  const changed = (change) => {
    change();
    state.page = 0;
    draw();
  };
  find("search").addEventListener("input", (e) => changed(() => (state.text = e.target.value)));
  find("show").addEventListener("change", (e) => changed(() => (state.show = e.target.value)));
  const turnPage = (by) => {
    state.page += by;
    draw();
    find("found").scrollIntoView();
  };
  find("back").addEventListener("click", () => turnPage(-1));
  find("next").addEventListener("click", () => turnPage(1));
  draw();
})();
