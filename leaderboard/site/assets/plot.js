/* Skill kept against a price, one group of comparable records at a time. The plotting library comes when a plot is near. */
"use strict";

(() => {
  const { element, number, board } = window.TraceArena;
  const figures = [...document.querySelectorAll("figure[data-price]")];
  const choice = document.getElementById("plot-arena");
  const columns = new Map(board.data.columns.map((column) => [column.key, column]));
  let rows = board.probedRows();
  let library = null;

  /* The library reads a little HTML in texts, so that theirs is made plain. */
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function load() {
    library ??= new Promise((resolve, reject) => {
      const script = element("script", { src: document.body.dataset.plotting });
      script.addEventListener("load", resolve);
      script.addEventListener("error", () => reject(new Error("the plotting library isn't beside this page")));
      document.head.append(script);
    });
    return library;
  }

  function points(price) {
    const arena = Number(choice.value);
    const key = board.data.arenas[arena]?.headline;
    const shown = price.startsWith("kernel.") ? rows : board.rows();
    const chosen = shown
      .filter((row) => row.arena === arena && row.scores[price] && row.scores[key])
      .map((row) => ({ row, x: row.scores[price][0], y: row.scores[key][0], interval: row.scores[key].slice(1) }));
    const better = columns.get(price).direction === "up" ? (one, other) => one >= other : (one, other) => one <= other;
    // References show where the ends are; only methods that compete make the frontier.
    for (const each of chosen) {
      each.frontier =
        each.row.ranked &&
        !chosen.some(
          (other) =>
            other !== each && other.row.ranked && other.y >= each.y && better(other.x, each.x) &&
            (other.y > each.y || other.x !== each.x),
        );
    }
    return chosen.sort((one, other) => one.x - other.x || one.y - other.y);
  }

  function standing({ frontier, row }) {
    if (frontier) return "on the frontier";
    return row.reference ? row.part : row.ranked ? "" : "not ranked";
  }

  function phrase(point, price) {
    const headline = columns.get(board.data.arenas[point.row.arena].headline);
    const [low, high] = point.interval;
    const limits = low === undefined ? "" : ` (${number(low, headline.form)} to ${number(high, headline.form)})`;
    const cost = columns.get(price);
    const kind = standing(point);
    return [
      point.row.name + (point.row.axes ? `, ${point.row.axes}` : ""),
      `${headline.heading} ${number(point.y, headline.form)}${limits}; ${cost.heading} ${number(point.x, cost.form)}${kind ? `; ${kind}` : ""}`,
    ];
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const MARGIN = { l: 52, r: 18, t: 16, b: 46 };

  /* From the least to the most of some numbers, with a share of air at both ends. */
  function padded(values, air) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const more = (high - low || Math.abs(high) || 1) * air;
    return [low - more, high + more];
  }

  /* Scale, range and pixels of both axes: known before drawing, so that names can be put where nothing is. */
  function frame(plot, found) {
    const log = found.every((point) => point.x > 0);
    const scale = (x) => (log ? Math.log10(x) : x);
    const across = padded(found.map((point) => scale(point.x)), 0.1);
    const up = padded(found.flatMap((point) => [point.y, ...point.interval]), 0.06);
    const width = plot.clientWidth - MARGIN.l - MARGIN.r;
    const height = plot.clientHeight - MARGIN.t - MARGIN.b;
    const pixel = (point) => [
      (width * (scale(point.x) - across[0])) / (across[1] - across[0]),
      (height * (up[1] - point.y)) / (up[1] - up[0]),
    ];
    return { log, across, up, width, height, pixel };
  }

  const SIDES = { "top center": [0, -14], "bottom center": [0, 14], "middle right": [1, 0], "middle left": [-1, 0] };

  /* Put each name on the first side of its mark where it meets no mark and no other name; "" where there is no room. */
  function sides(found, { pixel, width }) {
    const boxes = found.map((point) => pixel(point)).map(([x, y]) => [x - 7, y - 7, x + 7, y + 7]);
    const meets = ([left, top, right, bottom]) =>
      boxes.some((box) => left < box[2] && right > box[0] && top < box[3] && bottom > box[1]);
    return found.map((point) => {
      const [x, y] = pixel(point);
      const half = point.row.label.length * 3.2 + 2;
      for (const [side, [aside, below]] of Object.entries(SIDES)) {
        const middle = [x + aside * (half + 10), y + below];
        const box = [middle[0] - half, middle[1] - 7, middle[0] + half, middle[1] + 7];
        if (box[0] < -20 || box[2] > width + 16 || meets(box)) continue;
        boxes.push(box);
        return side;
      }
      return "";
    });
  }

  function layout(price, headline, frame) {
    const font = { family: colour("--sans"), size: 12, color: colour("--soft") };
    const axis = { gridcolor: colour("--rule"), linecolor: colour("--rule-strong"), zeroline: false, ticks: "", fixedrange: true, tickfont: font, automargin: false };
    const cost = columns.get(price);
    const title = (text) => ({ text: plain(text), font, standoff: 10 });
    return {
      font,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: MARGIN,
      showlegend: false,
      hovermode: "closest",
      hoverlabel: { bgcolor: colour("--panel"), bordercolor: colour("--rule-strong"), font: { ...font, color: colour("--ink") }, align: "left" },
      xaxis: {
        ...axis, range: frame.across, type: frame.log ? "log" : "linear", tickformat: frame.log ? "~s" : undefined,
        dtick: frame.log && frame.across[1] - frame.across[0] > 1 ? 1 : undefined,
        title: title(`${cost.heading}${cost.unit ? `, ${cost.unit}` : ""} (${cost.direction === "up" ? "right" : "left"} is better)`),
      },
      yaxis: { ...axis, range: frame.up, title: title(`${headline.heading} (up is better)`) },
    };
  }

  /* Steps round what the frontier beats, out to the plot's edges. */
  function frontierLine(price, found, { log, across, up }) {
    const steps = found.filter((point) => point.frontier);
    const x = steps.map((point) => point.x);
    const y = steps.map((point) => point.y);
    if (!steps.length) return { x, y };
    const [left, right] = across.map((edge) => (log ? 10 ** edge : edge));
    if (columns.get(price).direction === "up") return { x: [left, ...x, x.at(-1)], y: [y[0], ...y, up[0]] };
    return { x: [x[0], ...x, right], y: [up[0], ...y, y.at(-1)] };
  }

  function traces(price, found, frame) {
    const steps = frontierLine(price, found, frame);
    const rising = columns.get(price).direction !== "up";
    const places = sides(found, frame);
    const symbol = ({ row }) => (row.reference ? (row.part === "ceiling" ? "diamond-open" : "square-open") : row.ranked ? "circle" : "circle-open");
    const hidden = { hoverinfo: "skip", mode: "lines" };
    return [
      { ...hidden, ...steps, line: { shape: rising ? "hv" : "vh", color: colour("--accent"), width: 1.5 } },
      {
        x: found.map((point) => point.x),
        y: found.map((point) => point.y),
        mode: "markers+text",
        type: "scatter",
        text: found.map((point, at) => (places[at] ? plain(point.row.label) : "")),
        textposition: places.map((side) => side || "top center"),
        textfont: { size: 11, color: found.map((point) => colour(point.frontier ? "--ink" : "--soft")) },
        cliponaxis: false,
        hovertext: found.map((point) => phrase(point, price).map(plain).join("<br>")),
        hovertemplate: "%{hovertext}<extra></extra>",
        error_y: {
          type: "data", symmetric: false, color: colour("--rule-strong"), thickness: 1, width: 0,
          array: found.map(({ y, interval }) => (interval.length ? Math.max(0, interval[1] - y) : 0)),
          arrayminus: found.map(({ y, interval }) => (interval.length ? Math.max(0, y - interval[0]) : 0)),
        },
        marker: {
          size: found.map((point) => (point.frontier ? 10 : 8)),
          symbol: found.map(symbol),
          color: found.map((point) => colour(point.row.ranked ? "--accent" : "--soft")),
          opacity: 1,
          line: { width: found.map((point) => (point.row.ranked ? 0 : 1.4)), color: colour("--soft") },
        },
      },
    ];
  }

  function list(figure, price, headline, found) {
    const body = figure.querySelector("tbody");
    body.replaceChildren(
      ...found.map((point) =>
        element(
          "tr", {},
          element("th", { scope: "row" }, element("a", { href: point.row.page }, point.row.name), point.row.axes ? `, ${point.row.axes}` : ""),
          element("td", { class: "number" }, number(point.x, columns.get(price).form)),
          element("td", { class: "number" }, number(point.y, headline.form)),
          element("td", {}, standing(point)),
        ),
      ),
    );
    figure.querySelector("details").hidden = found.length === 0;
  }

  function tell(figure, point, price) {
    const [name, rest] = phrase(point, price);
    figure.querySelector(".detail").replaceChildren(element("strong", {}, name), element("br"), `${rest}.`);
  }

  /* Arrow keys walk along the points, Enter opens the method's page. */
  function walk(figure, plot, price) {
    let at = -1;
    plot.addEventListener("keydown", (event) => {
      const found = plot.points ?? [];
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (event.key === "Enter" && found[at]) location.href = found[at].row.page;
      if (!step || !found.length) return;
      event.preventDefault();
      at = at < 0 ? (step > 0 ? 0 : found.length - 1) : (at + step + found.length) % found.length;
      tell(figure, found[at], price);
      Plotly.Fx.hover(plot, [{ curveNumber: 1, pointNumber: at }]);
    });
    plot.addEventListener("blur", () => {
      at = -1;
      if (plot.points?.length) Plotly.Fx.unhover(plot);
    });
  }

  function blank(figure, text) {
    const plot = figure.querySelector(".plot");
    if (plot.points?.length) Plotly.purge(plot);
    plot.points = [];
    plot.replaceChildren(text);
    plot.classList.add("blank");
    plot.removeAttribute("tabindex");
    figure.querySelector("details").hidden = true;
    figure.querySelector(".detail").replaceChildren();
  }

  async function draw(figure) {
    const { price } = figure.dataset;
    const plot = figure.querySelector(".plot");
    const headline = columns.get(board.data.arenas[Number(choice.value)]?.headline);
    const found = columns.has(price) && headline ? points(price) : [];
    if (!found.length) {
      blank(figure, `No method shown above has both scores. ${figure.dataset.takes}`);
      return;
    }
    try {
      await load();
    } catch (error) {
      blank(figure, `No plot: ${error.message}. The table below has its numbers.`);
      list(figure, price, headline, found);
      return;
    }
    if (plot.classList.contains("blank")) plot.replaceChildren();
    plot.classList.remove("blank");
    plot.tabIndex = 0;
    const first = !plot.points?.length;
    plot.points = found;
    const best = found.filter((point) => point.frontier).map((point) => point.row.name);
    plot.setAttribute("aria-label", `${figure.querySelector("figcaption").firstChild.textContent.trim()}: ${found.length} points. On the frontier: ${best.join(", ") || "none"}. Arrow keys walk along the points, Enter opens a method's page.`);
    const space = frame(plot, found);
    await Plotly.react(plot, traces(price, found, space), layout(price, headline, space), { displayModeBar: false, responsive: false });
    if (first) {
      plot.on("plotly_hover", ({ points: [over] }) => tell(figure, plot.points[over.pointNumber], price));
      plot.on("plotly_click", ({ points: [over] }) => {
        location.href = plot.points[over.pointNumber].row.page;
      });
    }
    list(figure, price, headline, found);
    plot.dataset.drawn = "true";
  }

  function offer() {
    const arenas = [...new Set(rows.map((row) => row.arena))];
    const before = choice.value;
    choice.replaceChildren(...arenas.map((arena) => element("option", { value: arena }, board.data.arenas[arena].title)));
    if (arenas.includes(Number(before)) && before !== "") choice.value = before;
    choice.closest("label").hidden = arenas.length < 2;
  }

  const seen = new Set();
  const redraw = () => seen.forEach(draw);
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting || seen.has(target)) continue;
        seen.add(target);
        draw(target);
      }
    },
    { rootMargin: "400px" },
  );

  offer();
  for (const figure of figures) {
    walk(figure, figure.querySelector(".plot"), figure.dataset.price);
    watcher.observe(figure);
  }
  let pending = 0;
  document.addEventListener("rowschange", () => {
    rows = board.probedRows();
    offer();
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(redraw);
  });
  document.addEventListener("themechange", redraw);
  window.addEventListener("resize", () => {
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(redraw);
  });
  choice.addEventListener("input", redraw);
})();
