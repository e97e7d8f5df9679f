// Draws the charts of the page and offers its data as files.  Everything is in the page.
const specs = JSON.parse(document.getElementById("specs").textContent);
const files = JSON.parse(document.getElementById("files").textContent);
const options = { renderer: "svg", actions: false, tooltip: { theme: "custom" } };

async function draw(place, name) {
  const choices = specs[Number(place.dataset.chart)];
  const spec = choices[name] ?? Object.values(choices)[0];
  try {
    await vegaEmbed(place, spec, options);
    place.classList.add("drawn");
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

(async () => {
  for (const place of document.querySelectorAll("[data-chart]")) {
    const select = document.querySelector(`select[data-group="${place.dataset.groupOf}"]`);
    await draw(place, select?.value);
  }
  document.documentElement.dataset.ready = "true";
})();
