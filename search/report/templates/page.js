"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;

  // Expressions are interpreted (`ast`), so that the page needs no permission to evaluate text as code.
  const options = {
    mode: "vega-lite",
    renderer: "svg",
    ast: true,
    actions: { export: true, source: false, compiled: false, editor: false },
    tooltip: { theme: dark ? "dark" : "light" },
  };

  async function drawChart(element) {
    const name = element.dataset.chart;
    try {
      const spec = JSON.parse(document.getElementById(`spec-${name}`).textContent);
      await vegaEmbed(element, spec, { ...options, downloadFileName: name });
      element.dataset.state = "drawn";
    } catch (error) {
      element.dataset.state = "failed";
      element.textContent = `This chart could not be drawn; figures/${name}.svg beside this page shows it.`;
      console.error(error);
    }
  }

  function sortBy(table, column, button) {
    const heading = button.closest("th");
    const direction = heading.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const keyOf = (row) => row.cells[column].dataset.sort;
    const rows = [...table.tBodies[0].rows];
    const numeric = rows.every((row) => keyOf(row) !== "" && Number.isFinite(Number(keyOf(row))));
    const compare = numeric
      ? (a, b) => Number(keyOf(a)) - Number(keyOf(b))
      : (a, b) => keyOf(a).localeCompare(keyOf(b), undefined, { numeric: true });
    rows.sort((a, b) => sign * compare(a, b));
    table.tBodies[0].append(...rows);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      button.addEventListener("click", () => sortBy(table, column, button));
      heading.replaceChildren(button);
    });
  }

  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("main details:not(.vega-embed details)")) details.open = true;
  });

  const charts = [...document.querySelectorAll("[data-chart]")];
  Promise.all(charts.map(drawChart)).then(() => {
    document.documentElement.dataset.charts = "done";
  });
})();
