// Each picture is replaced by the same chart with tooltips; without scripts the picture stays.
for (const element of document.querySelectorAll("script.spec")) {
  const spec = JSON.parse(element.textContent);
  const target = document.getElementById(element.dataset.chart);
  if (spec.facet) {
    // On a phone panels stand under each other, so that their text stays legible.
    if (window.innerWidth < 700) spec.columns = 1;
  } else {
    spec.width = "container";
    spec.autosize = { type: "fit-x", contains: "padding" };
  }
  const holder = document.createElement("div");
  holder.className = "live";
  const picture = target.firstElementChild;
  target.append(holder);
  vegaEmbed(holder, spec, { renderer: "svg", actions: false }).then(() => {
    picture.remove();
    target.removeAttribute("role");
  });
}
