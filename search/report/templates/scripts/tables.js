function sortBy(table, column, button) {
  closeTrials(table);
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
    const button = makeElement("button", heading.textContent, { type: "button" });
    button.addEventListener("click", () => sortBy(table, column, button));
    heading.replaceChildren(button);
  });
}
