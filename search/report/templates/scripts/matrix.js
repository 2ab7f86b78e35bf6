// The evidence behind one cell of the transfer matrix: by a click on it, or by choosing its source and target.
const chosenSource = document.getElementById("evidence-source");
const chosenTarget = document.getElementById("evidence-target");

function describeCell(cell) {
  const measure = (name) => `${cell[`${name}_text`]} points (interval ${cell[`${name}_interval`]}; ${cell[`${name}_verdict`]})`;
  const standing = cell.standing.startsWith("best") ? cell.standing : `${cell.standing} (${cell.behind} points less right)`;
  return [
    ["shared elements", cell.shared],
    ["accuracy after training on the source alone", cell.accuracy],
    ["untrained", cell.untrained],
    ["matched control", cell.control],
    ...(cell.cg_gain === null ? [] : [["CG gain", measure("cg_gain")]]),
    ["gain", measure("gain")],
    ["share of the way to perfect", `${cell.cg_way_text} % of CG gain, ${cell.way_text} % of gain`],
    ["among the sources of this target", standing],
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
    trials.append(makeElement("a", id, { href: `#trial-${id}`, class: "code" }), " ");
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
