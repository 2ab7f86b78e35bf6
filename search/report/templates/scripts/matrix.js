// The evidence behind one cell of the transfer matrix: by a click on it, or by choosing its source and target.
const chosenSource = document.getElementById("evidence-source");
const chosenTarget = document.getElementById("evidence-target");

function describeCell(cell) {
  const measure = (name) => `${cell[`${name}_text`]} points (interval ${cell[`${name}_interval`]}; ${cell[`${name}_verdict`]})`;
  const behind = cell.standing.startsWith("best") ? "" : ` (${cell.behind} points less right)`;
  const ways = [["cg_way", "CG gain"], ["way", "gain"]].filter(([name]) => cell[name] !== null);
  return [
    ["shared elements", cell.shared],
    ["accuracy after training on the source alone", cell.accuracy],
    ["untrained", cell.untrained],
    ["matched control", cell.control],
    ...(cell.cg_gain === null ? [] : [["CG gain", measure("cg_gain")]]),
    ["gain", measure("gain")],
    ["share of the way to perfect", ways.map(([name, of]) => `${cell[`${name}_text`]} % of ${of}`).join(", ") || "–"],
    // What trained on the target's own key stands nowhere among them.
    ...(cell.standing === "–" ? [] : [["among the sources of this target", cell.standing + behind]]),
    ["questions (n)", String(cell.n ?? "–")],
    ["seeds", String(cell.seeds ?? "–")],
    ["estimator", cell.estimator],
    ["exposure", cell.exposure.replaceAll("_", " ")],
  ];
}

async function showEvidence() {
  const place = document.getElementById("evidence-cell");
  const charts = await unpack("charts");
  const cells = Object.values(charts.transfer.datasets).flat();
  const cell = cells.find((each) => each.source === chosenSource.value && each.target === chosenTarget.value);
  if (!cell) {
    place.replaceChildren(makeElement("p", "This pair was not measured.", { class: "note" }));
    return;
  }
  const list = makeElement("dl", undefined, { class: "long" });
  for (const [name, value] of describeCell(cell)) list.append(makeElement("dt", name), makeElement("dd", value));
  const trials = makeElement("p", "Trials: ", { class: "note" });
  for (const id of charts.singles[cell.source] ?? []) {
    const hasRow = document.getElementById(`trial-${id}`) !== null; // of very many trials not all have one
    const attributes = hasRow ? { class: "code", href: `#trial-${id}` } : { class: "code" };
    trials.append(makeElement(hasRow ? "a" : "span", id, attributes), " ");
  }
  place.replaceChildren(list, trials);
}

function showCell(cell) {
  if (!cell?.source || !cell.target || !chosenSource) return;
  chosenSource.value = cell.source;
  chosenTarget.value = cell.target;
  showEvidence();
}

if (chosenSource) {
  for (const choice of [chosenSource, chosenTarget]) choice.addEventListener("change", showEvidence);
  showEvidence();
}
