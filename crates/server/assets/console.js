// What the console does where there are scripts. Every task works without any of it.
"use strict";

(() => {
  // The forms that hold something unsent, and the page that shows a key, ask before they are left.
  let guarded = "";

  const one = (selector) => document.querySelector(selector);

  const prepare = () => {
    // What a page says was done is not said again when it is loaded anew.
    const address = new URL(location.href);
    if (address.searchParams.has("done")) {
      address.searchParams.delete("done");
      history.replaceState(history.state, "", address);
    }
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
    for (const said of document.querySelectorAll("[data-ticked]")) {
      offerTicks(said);
    }
    drawCharts();
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

  // A tick below a table for all of its rows, and how many are ticked.
  const offerTicks = (said) => {
    if (said.parentElement.querySelector("input")) return;
    const boxes = [...said.closest("form").querySelectorAll("tbody .tick input")];
    const label = document.createElement("label");
    label.className = "choice";
    const all = document.createElement("input");
    all.type = "checkbox";
    label.append(all, "Select all on this page");
    const tell = () => {
      const count = boxes.filter((box) => box.checked).length;
      all.checked = count === boxes.length;
      all.indeterminate = count > 0 && !all.checked;
      said.textContent = count === 0 ? "Of those selected:" : `${count} selected:`;
    };
    all.addEventListener("change", () => { boxes.forEach((box) => { box.checked = all.checked; }); tell(); });
    boxes.forEach((box) => box.addEventListener("change", tell));
    said.before(label);
    tell();
  };

  // Charts: drawn of the tables below them, by a library that is asked for where there is one.
  let library;
  const askForLibrary = ({ chart, chartStyle }) => {
    library ??= new Promise((resolve, reject) => {
      const style = document.createElement("link");
      style.rel = "stylesheet";
      style.href = chartStyle;
      const script = document.createElement("script");
      script.src = chart;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(style, script);
    });
    return library;
  };

  const drawn = new Set();
  const drawCharts = async () => {
    const figures = [...document.querySelectorAll("[data-chart]")];
    for (const chart of drawn) {
      if (!chart.figure.isConnected) chart.end();
    }
    if (figures.length === 0) return;
    await askForLibrary(figures[0].dataset);
    for (const figure of figures) {
      if (figure.isConnected && !figure.querySelector(".uplot")) draw(figure);
    }
  };

  const colour = (element, name) => {
    element.style.color = `var(--${name})`;
    return getComputedStyle(element).color;
  };

  const draw = (figure) => {
    const canvas = figure.querySelector("[data-canvas]");
    const rows = [...figure.querySelectorAll("tbody tr")];
    const columns = [...figure.querySelectorAll("[data-outcome]")];
    const counts = columns.map((_, at) => rows.map((row) => Number(row.querySelectorAll("td")[at].textContent)));
    // Each stands on those before it, so the highest is drawn first.
    const stacked = [];
    counts.forEach((column, at) => {
      stacked.push(column.map((count, row) => count + (stacked[at - 1]?.[row] ?? 0)));
    });
    const probe = document.createElement("span");
    figure.append(probe);
    const quiet = colour(probe, "quiet");
    const step = rows.length > 1 ? rows[1].dataset.at - rows[0].dataset.at : 3600;
    const isHours = rows.at(-1).dataset.at - rows[0].dataset.at < 2 * 86_400;
    const words = (at) => {
      const text = new Date(at * 1000).toISOString();
      return isHours ? text.slice(11, 16) : text.slice(5, 10);
    };
    const axis = { stroke: quiet, grid: { stroke: colour(probe, "line"), width: 1 }, ticks: { show: false } };
    const series = columns.map((column) => colour(probe, `outcome-${column.dataset.outcome}`)).map((fill) => ({
      fill, stroke: fill, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 48] }),
    }));
    probe.remove();
    const said = document.createElement("p");
    said.className = "muted said";
    const telling = (at) => {
      if (at === null || at === undefined) return "";
      const parts = columns.map((column, one) => [column.textContent, counts[one][at]]).filter(([, count]) => count > 0);
      const words = parts.length ? parts.map(([what, count]) => `${count} ${what.toLowerCase()}`).join(", ") : "none";
      return `${rows[at].querySelector("th").textContent}: ${words}`;
    };
    const size = () => ({ width: canvas.clientWidth, height: 180 });
    const chart = new uPlot({
      ...size(),
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      // Half of a bar stands before the first moment, and half after the last.
      scales: { x: { range: (_, low, high) => [low - step / 2, high + step / 2] }, y: { range: (_, _low, high) => [0, Math.max(high * 1.1, 1)] } },
      axes: [{ ...axis, values: (_, splits) => splits.map(words) }, { ...axis, size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7, 1e8] }],
      series: [{}, ...series.reverse()],
      hooks: { setCursor: [(u) => { said.textContent = telling(u.cursor.idx); }] },
    }, [rows.map((row) => Number(row.dataset.at)), ...stacked.reverse()], canvas);
    canvas.append(said);
    const resized = new ResizeObserver(() => chart.setSize(size()));
    resized.observe(canvas);
    const own = { figure, end: () => { resized.disconnect(); chart.destroy(); said.remove(); drawn.delete(own); } };
    drawn.add(own);
  };

  // Their colours are those of the theme.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of [...drawn]) chart.end();
    drawCharts();
  });

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
    const form = event.target;
    const refuse = () => { event.preventDefault(); event.stopImmediatePropagation(); };
    if (form.matches("[data-unsaved]")) guarded = "";
    if (guarded && !confirm(`${guarded} Leave this page?`)) return refuse();
    // A form is sent once, however often it is clicked: what is made by the first sending is shown by its answer alone.
    if (form.method === "post" && form.dataset.sent) return refuse();
    form.dataset.sent = "yes";
    guarded = "";
  }, true);

  // Those who come back to a page may send its forms again.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
  });

  document.addEventListener("input", (event) => {
    if (event.target.closest("[data-unsaved]")) guarded ||= "What you typed is not kept.";
    // Whoever picks a day means it.
    if (event.target.matches("[data-day]")) {
      const choice = document.getElementById(event.target.dataset.day);
      if (choice.type === "radio") choice.checked = true;
      else choice.value = "date";
    }
  });

  window.addEventListener("beforeunload", (event) => {
    if (guarded) event.preventDefault();
  });

  const tell = (trouble) => {
    const place = one("#trouble");
    if (place) place.textContent = trouble;
  };

  document.addEventListener("htmx:before:request", (event) => {
    // What goes on by itself waits for whoever reads it, or is at a place in it.
    const part = event.detail.ctx.sourceElement;
    const isRead = part.matches("[data-live]") && (part.contains(document.activeElement) || part.querySelector("details[open]"));
    if (isRead) event.preventDefault();
    else tell("");
  });

  document.addEventListener("htmx:before:response", (event) => {
    const { status, headers } = event.detail.ctx.response;
    if ((headers.get("content-type") ?? "").startsWith("text/html")) return;
    // For programs: nothing to be shown.
    event.preventDefault();
    tell(`The server did not do it (${status}). Nothing was changed as far as it said; try again.`);
  });

  document.addEventListener("htmx:error", () => {
    tell("The server does not answer, and may or may not have done what was asked. Load the page again to see.");
  });

  document.addEventListener("htmx:finally:request", (event) => {
    delete event.detail.ctx.sourceElement.dataset.sent;
  });

  document.addEventListener("htmx:after:swap", (event) => {
    if (event.detail.ctx.target?.matches("[data-live]")) return drawCharts();
    prepare();
    // Whoever listens to the page is told that there is another.
    const heading = one("main");
    if (heading && !one("[autofocus]")) heading.focus();
  });

  document.addEventListener("DOMContentLoaded", prepare);
})();
