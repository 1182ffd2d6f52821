/* The table of cells: every record, whatever its end. */
"use strict";

(() => {
  const { element, read, number, plural, filters } = window.TraceArena;
  const cells = read("cells");
  const count = document.getElementById("count");
  const text = (key, title, more = {}) => ({ data: key, title, render: DataTable.render.text(), ...more });

  const grid = new DataTable(document.getElementById("cells-table"), {
    data: cells,
    columns: [
      {
        data: "cell", title: "Cell", cellType: "th", className: "cell",
        render: (value, kind, row) => (kind === "display" ? element("a", { href: row.page }, value) : value),
      },
      text("method", "Method"),
      { data: "seed", title: "Seed", className: "number", type: "num" },
      text("dataset", "Dataset"),
      text("budget", "Budget"),
      text("router", "Router"),
      text("status", "Status"),
      { data: "seconds", title: "Seconds", className: "number", type: "num", render: (value, kind) => (kind === "display" ? number(value, ",.0f") : value ?? -1) },
      text("reason", "Reason", { orderable: false }),
    ],
    autoWidth: false,
    order: [[1, "asc"], [2, "asc"]],
    pageLength: 100,
    lengthMenu: [100, 250, { label: "all", value: -1 }],
    layout: { topStart: null, topEnd: null, bottomStart: cells.length > 100 ? "pageLength" : null, bottomEnd: cells.length > 100 ? "paging" : null },
    language: { zeroRecords: "No cell matches these filters.", lengthMenu: "_MENU_ cells a page" },
    createdRow: (line) => {
      line.querySelector("th").scope = "row";
    },
  });

  function show(state) {
    const words = state.search.toLowerCase().split(/\s+/);
    grid.search.fixed("chosen", (_, row) => {
      if (["dataset", "budget", "router", "status"].some((name) => state[name] && row[name] !== state[name])) return false;
      const all = `${row.cell} ${row.method} ${row.reason}`.toLowerCase();
      return words.every((word) => all.includes(word));
    }).draw();
    report();
  }

  function report() {
    count.textContent = `${plural(grid.rows({ search: "applied" }).count(), "cell")} of ${cells.length.toLocaleString("en-GB")}.`;
  }

  const values = (name) => [...new Set(cells.map((cell) => cell[name]).filter(Boolean))].sort();
  const names = ["dataset", "budget", "router", "status"];
  const state = filters.open(document.getElementById("filters"), Object.fromEntries(names.map((name) => [name, values(name)])), show);
  grid.columns().every(function () {
    this.header().scope = "col";
  });
  if (Object.values(state()).some(Boolean)) show(state());
  else report();
  performance.measure("load", { start: 0, end: performance.now() });
})();
