// What the console does where there are scripts. Every task works without any of it.
"use strict";

(() => {
  // The forms that hold something unsent, and the page that shows a key, ask before they are left.
  let guarded = "";

  const one = (selector) => document.querySelector(selector);

  const prepare = () => {
    guarded = one("[data-once]") ? "The key will not be shown again." : "";
    for (const field of document.querySelectorAll("[data-here]")) {
      field.value = location.pathname + location.search;
    }
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = !navigator.clipboard;
    }
    for (const choices of document.querySelectorAll("[data-choices]")) {
      offerAll(choices);
    }
  };

  // "Select all / none" for a list of checkboxes.
  const offerAll = (choices) => {
    const boxes = choices.querySelectorAll("input[type=checkbox]");
    if (boxes.length < 2 || choices.querySelector(".choices-all")) return;
    const line = document.createElement("div");
    line.className = "choices-all";
    for (const [words, checked] of [["Select all", true], ["Select none", false]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet";
      button.textContent = words;
      button.addEventListener("click", () => boxes.forEach((box) => { box.checked = checked; }));
      line.append(button);
    }
    choices.append(line);
  };

  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const said = one("[data-copied]");
      try {
        await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
        said.textContent = "Copied.";
      } catch {
        said.textContent = "It could not be copied: select it and copy it by hand.";
      }
      return;
    }
    const link = event.target.closest("a");
    if (!link || !guarded) return;
    if (link.matches("[data-leave]")) {
      guarded = "";
    } else if (!confirm(`${guarded} Leave this page?`)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    } else {
      guarded = "";
    }
  }, true);

  document.addEventListener("submit", (event) => {
    if (guarded && !confirm(`${guarded} Leave this page?`)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    guarded = "";
  }, true);

  window.addEventListener("beforeunload", (event) => {
    if (guarded) event.preventDefault();
  });

  document.addEventListener("htmx:after:swap", () => {
    prepare();
    // Whoever listens to the page is told that there is another.
    const heading = one("main");
    if (heading && !one("[autofocus]")) heading.focus();
  });

  document.addEventListener("DOMContentLoaded", prepare);
})();
