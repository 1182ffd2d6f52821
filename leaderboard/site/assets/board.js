/* The table of methods: arenas one below the other, each sorted within itself, since their scores don't compare. */
"use strict";

(() => {
  const { element, drawing, read, number, plural, filters } = window.TraceArena;
  const board = read("board");
  const table = document.getElementById("methods");
  const form = document.getElementById("filters");
  const count = document.getElementById("count");
  // Columns before the measures: arena and place (never shown), rank, method, seeds.
  const FIXED = 5;
  const ORDER = [[1, "asc"]];
  // What a page shows at once: a long one takes longer to lay out than to read.
  const [WHOLE, PAGE] = [50, 25];
  const directions = new Map(board.columns.map((column) => [column.key, column.direction]));

  /* What the bars of one column of one arena span: the values and references, with some air; intervals may reach out. */
  const spans = new Map();
  function span(arena, key) {
    const name = `${arena} ${key}`;
    if (!spans.has(name)) {
      const { floor, ceiling } = board.arenas[arena];
      const values = board.rows
        .filter((row) => row.arena === arena)
        .map((row) => row.scores[key]?.[0])
        .concat(floor[key], ceiling[key])
        .filter((value) => value !== null && value !== undefined);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const air = (high - low || Math.abs(high) || 1) * 0.18;
      spans.set(name, [low - air, high + air]);
    }
    return spans.get(name);
  }

  // Hundreds of bars are drawn at once; copies are cheaper than new elements.
  const bar = drawing("svg", { class: "spread", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  const heights = { floor: [0, 10], ceiling: [0, 10], interval: [5, 5], value: [1, 9] };
  const lines = Object.fromEntries(
    Object.entries(heights).map(([kind, [y1, y2]]) => [kind, drawing("line", { class: kind, y1, y2 })]),
  );

  function spread(row, key) {
    const [low, high] = span(row.arena, key);
    const place = (value) => Math.min(100, Math.max(0, (100 * (value - low)) / (high - low)));
    const line = (kind, from, to) => {
      const made = lines[kind].cloneNode();
      made.setAttribute("x1", from);
      made.setAttribute("x2", to);
      return made;
    };
    const [value, least, most] = row.scores[key];
    const { floor, ceiling } = board.arenas[row.arena];
    const drawn = bar.cloneNode();
    if (floor[key] !== undefined) drawn.append(line("floor", place(floor[key]), place(floor[key])));
    if (ceiling[key] !== undefined) drawn.append(line("ceiling", place(ceiling[key]), place(ceiling[key])));
    drawn.append(line("interval", place(least), place(most)), line("value", place(value), place(value)));
    return drawn;
  }

  function measure(column, row) {
    const score = row.scores[column.key];
    if (!score) {
      return element(
        "span", { class: "empty" }, element("span", { "aria-hidden": "true" }, "–"),
        element("span", { class: "hidden-text" }, "no value"),
      );
    }
    const [value, low, high] = score;
    const shown = element("span", {}, number(value, column.form));
    if (low === undefined) return shown;
    const limits = `${number(low, column.form)} to ${number(high, column.form)}`;
    return element(
      "div", { title: `95 % interval ${limits}` }, shown,
      element("span", { class: "hidden-text" }, ` (95 % interval ${limits})`),
      element("span", { class: "limits", "aria-hidden": "true" }, limits),
      spread(row, column.key),
    );
  }

  function rank(row) {
    const found = row.ranks[by(row)];
    if (!found) return element("span", {}, "–", element("span", { class: "hidden-text" }, " not ranked"));
    const [first, last] = found;
    if (first === last) return element("span", {}, String(first));
    return element("span", { title: `shares the ranks ${first} to ${last}` }, `${first}–${last}`);
  }

  function method(row) {
    const tags = row.tags.map(([kind, text, meaning]) => element("span", { class: `tag ${kind}`, title: meaning }, text));
    return element(
      "div", {}, element("a", { href: row.page }, row.name, row.axes ? element("span", { class: "hidden-text" }, ` ${row.axes}`) : null),
      ...tags,
      row.axes ? element("span", { class: "axes", "aria-hidden": "true" }, row.axes) : null,
      row.why ? element("span", { class: "why", title: row.why }, row.why) : null,
    );
  }

  /* The figure of record that ranks are of: the reader's choice, or else the one that orders the arena. */
  const by = (row) => form.elements.by.value || board.arenas[row.arena].headline;

  /* Where a row stands on that figure, the best first, references among the methods. */
  function place(row) {
    const value = row.scores[by(row)]?.[0];
    if (value === undefined) return "";
    return value * (directions.get(by(row)) === "up" ? -1 : 1);
  }

  // What has no value comes last, whichever way the column is sorted.
  const missingLast = (way) => (one, other) => {
    if (one === other) return 0;
    if (one === "") return 1;
    if (other === "") return -1;
    return way * (one - other);
  };
  DataTable.ext.type.order["measure-asc"] = missingLast(1);
  DataTable.ext.type.order["measure-desc"] = missingLast(-1);

  const sorting = (value) => (value === null || value === undefined ? "" : value);
  const chosen = new Set(
    (filters.stored().get("columns")?.split(",") ?? board.columns.filter((each) => each.shown).map((each) => each.key)),
  );

  function define(column) {
    const arrow = { up: " ↑", down: " ↓" }[column.direction] ?? "";
    return {
      name: column.key,
      title: column.heading + arrow,
      type: "measure",
      visible: chosen.has(column.key),
      className: `measure${column.bare ? " bare" : ""}`,
      searchable: false,
      orderSequence: column.direction === "up" ? ["desc", "asc"] : ["asc", "desc"],
      data: null,
      render: (_, kind, row) => (kind === "display" ? measure(column, row) : sorting(row.scores[column.key]?.[0])),
    };
  }

  const columns = [
    { data: "arena", visible: false, searchable: false, type: "num" },
    { data: null, visible: false, searchable: false, type: "measure", render: (_, kind, row) => place(row) },
    {
      data: null, title: "Rank", className: "rank", type: "measure", searchable: false, orderSequence: ["asc", "desc"],
      render: (_, kind, row) => (kind === "display" ? rank(row) : sorting(row.ranks[by(row)]?.[0])),
    },
    {
      data: null, title: "Method", className: "method", cellType: "th", type: "string", searchable: false, orderSequence: ["asc", "desc"],
      render: (_, kind, row) => (kind === "display" ? method(row) : `${row.name} ${row.axes} ${row.part}`),
    },
    { data: "seeds", title: "Seeds", className: "number seeds", type: "num", searchable: false },
    ...board.columns.map(define),
  ];

  function heading(rows, group) {
    const arena = board.arenas[group];
    return element("tr", { class: "arena" }, element(
      "th", { colspan: columns.length, scope: "rowgroup" },
      element("span", { class: "stay" }, element("strong", {}, arena.title), element("span", {}, arena.facts)),
    ));
  }

  const facets = (name) => [...new Set(board.arenas.map((arena) => arena.facets[name]).filter(Boolean))].sort();
  const routers = [...new Set(board.rows.map((row) => row.router).filter(Boolean))].sort();
  for (const column of board.columns.filter((each) => each.record)) {
    form.elements.by.append(element("option", { value: column.key }, column.heading));
  }
  form.elements.old.closest("label").hidden = board.arenas.every((arena) => arena.current);
  const stateOf = filters.open(form, { dataset: facets("dataset"), budget: facets("budget"), router: routers }, show, {
    router: "none", // A method's rows on routers repeat its other scores.
  });
  let state = stateOf();

  function matches(row, router = state.router) {
    const { facets } = board.arenas[row.arena];
    if (!state.old && !board.arenas[row.arena].current) return false;
    const inArena = ["dataset", "budget"].every((name) => !state[name] || facets[name] === state[name]);
    if (!inArena || (router && row.router !== router)) return false;
    if (!state.search) return true;
    const text = `${row.name} ${row.axes} ${row.part}`.toLowerCase();
    return state.search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  DataTable.ext.search.push((settings, texts, index, row) => matches(row));
  const grid = new DataTable(table, {
    data: board.rows,
    columns,
    autoWidth: false,
    orderFixed: { pre: [[0, "asc"]] },
    order: ORDER,
    orderMulti: false,
    pageLength: board.rows.length > WHOLE ? PAGE : WHOLE,
    lengthMenu: [PAGE, 100, 250, { label: "all", value: -1 }],
    rowGroup: { dataSrc: "arena", startRender: heading },
    layout: { topStart: null, topEnd: null, bottomStart: board.rows.length > WHOLE ? "pageLength" : null, bottomEnd: board.rows.length > WHOLE ? "paging" : null },
    language: { zeroRecords: "No method matches these filters.", lengthMenu: "_MENU_ methods a page" },
    createdRow: (line, row) => {
      line.querySelector("th").scope = "row";
      if (!row.ranked) line.classList.add("unranked");
      if (row.reference) line.classList.add("aside");
    },
  });

  function show(now) {
    const other = now.by !== state.by;
    state = now;
    if (other) grid.rows().invalidate("data").order(ORDER); // Sorting remembers places and ranks.
    grid.draw();
    report();
  }

  function shownRows() {
    return grid.rows({ search: "applied", order: "applied" }).data().toArray();
  }

  /* Rows with a probe, as the filters have them; all routers' where none is chosen, since none has no probe. */
  const probedRows = () => board.rows.filter((row) => matches(row, state.router === "none" ? "" : state.router));

  function report() {
    const rows = shownRows();
    const arenas = new Set(rows.map((row) => row.arena));
    const all = rows.length === board.rows.length ? "" : ` of ${board.rows.length.toLocaleString("en-GB")}`;
    count.textContent = `${plural(rows.length, "method")}${all}, in ${plural(arenas.size, "group")} of comparable records.`;
    document.dispatchEvent(new CustomEvent("rowschange"));
  }

  function openColumnChoice() {
    const sheet = document.getElementById("column-choice");
    const families = Map.groupBy
      ? Map.groupBy(board.columns, (column) => column.family)
      : board.columns.reduce((all, each) => all.set(each.family, [...(all.get(each.family) ?? []), each]), new Map());
    for (const [family, members] of families) {
      const boxes = members.map((column) => element(
        "label", { title: column.meaning },
        element("input", { type: "checkbox", value: column.key, checked: chosen.has(column.key) }), column.heading,
      ));
      sheet.append(element("fieldset", {}, element("legend", {}, family), ...boxes));
    }
    sheet.addEventListener("input", (event) => {
      event.stopPropagation(); // The form's filters stay as they are.
      const box = event.target;
      if (box.checked) chosen.add(box.value);
      else chosen.delete(box.value);
      grid.column(`${box.value}:name`).visible(box.checked);
      filters.remember({ columns: board.columns.map((each) => each.key).filter((key) => chosen.has(key)).join(",") });
    });
    const menu = sheet.closest("details");
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    document.addEventListener("click", (event) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  }

  function openLimits() {
    const box = document.getElementById("limits");
    box.addEventListener("input", (event) => {
      event.stopPropagation();
      document.body.classList.toggle("show-intervals", box.checked);
    });
  }

  /* The library names the order of the groups, which is fixed, where the order within them is meant. */
  function nameOrder() {
    const [number, way] = grid.order()[0];
    grid.columns().every(function () {
      this.header().removeAttribute("aria-sort");
      if (this.index() === number) this.header().setAttribute("aria-sort", way === "asc" ? "ascending" : "descending");
    });
  }

  openColumnChoice();
  openLimits();
  grid.on("draw", nameOrder);
  nameOrder();
  grid.columns().every(function () {
    const column = board.columns[this.index() - FIXED];
    if (column) this.header().title = column.meaning;
    this.header().scope = "col";
  });
  report();
  performance.measure("load", { start: 0, end: performance.now() });
  window.TraceArena.board = { data: board, rows: shownRows, probedRows, grid };
})();
