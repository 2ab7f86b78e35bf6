const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;

// Expressions are interpreted (`ast`), so that the page needs no permission to evaluate text as code.
const options = {
  mode: "vega-lite",
  renderer: "svg",
  ast: true,
  actions: { export: true, source: false, compiled: false, editor: false },
  tooltip: { theme: dark ? "dark" : "light" },
};

// The page's policy names the library's hash, so that this text and no other may become a script.
let library;

function loadLibrary() {
  library ??= unpack("library").then((text) => document.head.append(makeElement("script", text)));
  return library;
}

async function drawChart(element) {
  const name = element.dataset.chart;
  try {
    await loadLibrary();
    const spec = (await unpack("charts"))[name];
    const drawn = await vegaEmbed(element, spec, { ...options, downloadFileName: name });
    if (name === "transfer") drawn.view.addEventListener("click", (_, item) => showCell(item?.datum));
    element.dataset.state = "drawn";
  } catch (error) {
    element.dataset.state = "failed";
    element.textContent = `This chart could not be drawn; figures/${name}.svg beside this page shows it.`;
    console.error(error);
  }
}

window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("main details:not(.vega-embed details)")) details.open = true;
});

const charts = [...document.querySelectorAll("[data-chart]")];
Promise.all(charts.map(drawChart)).then(() => {
  document.documentElement.dataset.charts = "done";
});
