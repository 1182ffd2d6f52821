/* The filters above a table: choices, a search, and a state that lives in the address, so that a view can be linked. */
"use strict";

(() => {
  const { element } = window.TraceArena;

  // How the address says that nothing is chosen where something usually is.
  const ANY = "all";

  function stored() {
    return new URLSearchParams(location.hash.slice(1));
  }

  /* Wire the form; `changed(state)` runs on each change. A control's name is its key in the state; "" is no choice.
     choices: select to the values that the data hold, which become its options. preferred: select to the value that
     it has before a reader chooses, where the data hold it. */
  function open(form, choices, changed, preferred = {}) {
    const start = stored();
    for (const [name, values] of Object.entries(choices)) {
      const select = form.elements[name];
      for (const value of values) {
        select.append(element("option", { value, selected: value === preferred[name] }, value));
      }
      select.closest("label").hidden = values.length < 2;
    }
    const controls = [...form.elements].filter((control) => control.name);
    for (const control of controls) {
      const value = start.get(control.name);
      if (value === null) continue;
      if (value === ANY) control.value = "";
      else if (control.type === "checkbox") control.checked = value === "yes";
      else if (control.type === "search" || [...control.options].some((option) => option.value === value)) control.value = value;
    }

    const valueOf = (control) => (control.type === "checkbox" ? (control.checked ? "yes" : "") : control.value.trim());
    const state = () => Object.fromEntries(controls.map((control) => [control.name, valueOf(control)]));

    const usual = (control) => [...(control.options ?? [])].find((option) => option.defaultSelected)?.value ?? "";
    const changes = () =>
      controls.map((control) => [control.name, valueOf(control) === usual(control) ? null : valueOf(control) || ANY]);

    function run() {
      performance.mark("filter-start");
      const now = state();
      remember(Object.fromEntries(changes()));
      changed(now);
      performance.measure("filter", "filter-start");
    }

    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", run);
    form.addEventListener("reset", () => setTimeout(run));
    return state;
  }

  /* Put what differs from the page's own defaults into the address; null removes a key. */
  function remember(changes) {
    const now = stored();
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === "") now.delete(name);
      else now.set(name, value);
    }
    try {
      history.replaceState(null, "", `#${now}`);
    } catch {
      // The view works all the same; it can't be linked.
    }
  }

  Object.assign(window.TraceArena, { filters: { open, remember, stored } });
})();
