// Puts a chart that can be zoomed in the place of a drawing, once a reader asks for it. Without this file the link
// leads to the chart's data.

const options = {
  ast: true, // Expressions are interpreted: the pages allow no eval.
  actions: false,
  defaultStyle: false,
  renderer: "svg",
  tooltip: { disableDefaultStyle: true },
};
let loaded;

function loadBundle(address) {
  loaded ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.vegaEmbed);
    script.onerror = () => reject(new Error(`${address} was not loaded`));
    document.head.append(script);
  });
  return loaded;
}

async function loadSpecification(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address} answered ${answer.status}`);
  return answer.json();
}

async function lookCloser(link) {
  const said = document.createElement("p");
  said.className = "fine";
  said.setAttribute("role", "status");
  said.textContent = "Loading the chart …";
  link.after(said);
  try {
    const [embed, specification] = await Promise.all([loadBundle(link.dataset.bundle), loadSpecification(link.href)]);
    const place = document.createElement("div");
    place.className = "closer";
    const figure = link.closest("figure");
    figure.prepend(place);
    await embed(place, specification, options);
    for (const drawing of figure.querySelectorAll(".only-wide, .only-narrow")) drawing.remove();
    said.textContent = "Scroll to zoom, drag to move, double-click to see all of it. Point at the line to read a value.";
    link.remove();
  } catch {
    location.assign(link.href);
  }
}

for (const link of document.querySelectorAll("a[data-bundle]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    lookCloser(link);
  });
}
