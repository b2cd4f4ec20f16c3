// Each picture is replaced by the same chart with tooltips; without scripts the picture stays.
const AROUND = 165; // pixels for the vertical axis and for what is written right of a panel
for (const element of document.querySelectorAll("script.spec")) {
  const spec = JSON.parse(element.textContent);
  const target = document.getElementById(element.dataset.chart);
  if (spec.facet) {
    // On a phone panels stand under each other and get narrower, so that text stays legible.
    if (window.innerWidth < 700) {
      spec.columns = 1;
      spec.spec.width = Math.min(spec.spec.width, Math.max(150, target.clientWidth - AROUND));
    }
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
