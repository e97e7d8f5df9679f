// Draws the charts of the page and offers its data as files.  Everything is in the page.
const specs = JSON.parse(document.getElementById("specs").textContent);
const files = JSON.parse(document.getElementById("files").textContent);
const views = new Map();
const options = { renderer: "svg", actions: false, tooltip: { theme: "custom" } };

async function draw(place, name) {
  const choices = specs[Number(place.dataset.chart)];
  const spec = choices[name] ?? Object.values(choices)[0];
  try {
    const result = await vegaEmbed(place, spec, options);
    views.set(place, result.view);
    for (const shown of place.parentElement.querySelectorAll("[data-choice]")) shown.textContent = name;
  } catch (error) {
    place.textContent = `This chart cannot be drawn: ${error.message}`;
    console.error(error);
  }
}

for (const select of document.querySelectorAll("select[data-group]")) {
  const places = document.querySelectorAll(`[data-group-of="${select.dataset.group}"]`);
  select.addEventListener("change", () => places.forEach((place) => draw(place, select.value)));
}

for (const button of document.querySelectorAll("button[data-file]")) {
  button.addEventListener("click", () => {
    const name = button.dataset.file;
    const type = name.endsWith(".json") ? "application/json" : "text/csv";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([files[name]], { type }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

// On paper, charts are drawn for a wider page and scaled down to it, as text is smaller there.
const paperWidth = 1.45 * (297 - 2 * 11) * (96 / 25.4);
window.addEventListener("beforeprint", () => {
  for (const [place, view] of views) {
    const columns = Number(getComputedStyle(place).getPropertyValue("--columns")) || 1;
    const isWide = place.parentElement.classList.contains("wide");
    view.width(isWide ? paperWidth : paperWidth / columns - 16).run();
  }
});
window.addEventListener("afterprint", () => window.dispatchEvent(new Event("resize")));

(async () => {
  for (const place of document.querySelectorAll("[data-chart]")) {
    const select = document.querySelector(`select[data-group="${place.dataset.groupOf}"]`);
    await draw(place, select?.value);
  }
  document.documentElement.dataset.ready = "true";
})();
