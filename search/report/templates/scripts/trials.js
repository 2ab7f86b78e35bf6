// A trial's row opens to what the trial was and did.
async function openTrial(row) {
  const button = row.querySelector(".opener");
  if (!button || button.getAttribute("aria-expanded") === "true") return;
  button.setAttribute("aria-expanded", "true");
  const line = makeElement("tr", undefined, { class: "opened", id: button.getAttribute("aria-controls") });
  const cell = makeElement("td", undefined, { colspan: row.cells.length });
  line.append(cell);
  row.after(line);
  const { heads, trials } = await unpack("trials");
  const tables = trials[row.dataset.trial] ?? [];
  for (const [head, rows] of tables) {
    const [title, columns] = heads[head];
    const part = makeElement("div");
    part.append(makeElement("h3", title), makeTable(columns, rows, `${title} of trial ${button.textContent}`));
    cell.append(part);
  }
  if (!tables.length) cell.append(makeElement("p", "Nothing was recorded of this trial.", { class: "note" }));
}

function closeTrial(row) {
  const button = row.querySelector(".opener");
  button?.setAttribute("aria-expanded", "false");
  if (row.nextElementSibling?.classList.contains("opened")) row.nextElementSibling.remove();
}

function closeTrials(table) {
  for (const row of table.querySelectorAll("tr[data-trial]")) closeTrial(row);
}

function toggleTrial(row) {
  const isOpen = row.querySelector(".opener").getAttribute("aria-expanded") === "true";
  return isOpen ? closeTrial(row) : openTrial(row);
}

document.querySelectorAll("tr[data-trial]").forEach((row, number) => {
  const cell = row.cells[0];
  const button = makeElement("button", cell.textContent.trim(), {
    type: "button", class: "opener", "aria-expanded": "false", "aria-controls": `opened-${number}`,
  });
  cell.replaceChildren(button);
  row.addEventListener("click", (event) => {
    const isText = window.getSelection().toString() !== "" && event.target !== button;
    if (!isText) toggleTrial(row);
  });
});

function followHash() {
  const row = location.hash.startsWith("#trial-") && document.getElementById(location.hash.slice(1));
  if (!row) return;
  openTrial(row);
  row.querySelector(".opener").focus();
}

window.addEventListener("hashchange", followHash);
followHash();
