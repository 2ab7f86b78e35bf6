// The data of the page: JSON, packed with gzip and written as base64.
const unpacked = {};

function unpack(name) {
  unpacked[name] ??= (async () => {
    const text = atob(document.getElementById(`packed-${name}`).textContent);
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  })();
  return unpacked[name];
}

// Texts are set as text, never as markup, whatever names a study gives.
function makeElement(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function makeTable(columns, rows, label) {
  const table = makeElement("table");
  const head = table.createTHead().insertRow();
  for (const column of columns) head.append(makeElement("th", column, { scope: "col" }));
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const cell of row) line.append(makeElement("td", cell));
  }
  const frame = makeElement("div", undefined, { class: "scroll", tabindex: "0", role: "region", "aria-label": label });
  frame.append(table);
  return frame;
}

for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", async () => {
    const name = button.dataset.download;
    const text = (await unpack("downloads"))[name];
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    // Six digits of each number: the file of this name beside the page has all, and another hash.
    makeElement("a", undefined, { href: address, download: name.replace(".csv", "-rounded.csv") }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  });
}
