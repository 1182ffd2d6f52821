/* On every page, in the head: the theme before anything is drawn, then the theme's and the copy buttons. */
"use strict";

window.TraceArena = {};

(() => {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  function remembered() {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // Some browsers give pages from files no storage.
    }
  }

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
  }

  function announce() {
    const button = document.querySelector("button.theme");
    if (button) {
      button.textContent = isDark() ? "Light" : "Dark";
      button.setAttribute("aria-label", `${button.textContent} theme`);
    }
    document.dispatchEvent(new Event("themechange"));
  }

  const theme = remembered();
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  dark.addEventListener("change", announce);

  async function copy(button) {
    const text = document.getElementById(button.dataset.copies).textContent;
    const status = document.getElementById(button.getAttribute("aria-describedby"));
    try {
      await navigator.clipboard.writeText(text);
      status.textContent = "Copied.";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(document.getElementById(button.dataset.copies));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      status.textContent = document.execCommand("copy") ? "Copied." : "Selected: press Ctrl+C.";
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("button.theme");
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("theme", root.dataset.theme);
      } catch {
        // It lasts for this page.
      }
      announce();
    });
    for (const each of document.querySelectorAll("button[data-copies]")) {
      each.hidden = false;
      each.addEventListener("click", () => copy(each));
    }
    announce();
  });
})();
