/* Elements made from data by the document's own methods: text stays text, whatever a record holds. */
"use strict";

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(made, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  const element = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
  const drawing = (name, attributes = {}, ...children) =>
    fill(document.createElementNS(SVG, name), attributes, children);

  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  const formats = new Map();

  /* A number as its column prints it: ".2f", ",.0f" and ".6g" mean what they do in Python. */
  function number(value, form) {
    if (value === null || value === undefined) return "–";
    if (!formats.has(form)) {
      const [, comma, digits, kind] = /^(,?)\.(\d+)([fg])$/.exec(form) ?? ["", "", "3", "g"];
      const options =
        kind === "f"
          ? { minimumFractionDigits: +digits, maximumFractionDigits: +digits, useGrouping: comma !== "" }
          : { maximumSignificantDigits: Math.max(1, +digits), useGrouping: false };
      formats.set(form, new Intl.NumberFormat("en-GB", options));
    }
    return formats.get(form).format(value).replace("-", "−");
  }

  const plural = (count, noun) => `${count.toLocaleString("en-GB")} ${noun}${count === 1 ? "" : "s"}`;

  Object.assign(window.TraceArena, { element, drawing, read, number, plural });
})();
