// The page: data, theme, filters, what is drawn when.
const pageData = JSON.parse(document.getElementById("page-data").textContent);
const root = document.documentElement;
const filterBar = document.querySelector(".bar");
const figures = Object.entries(pageData.figures).map(([id, charts]) => new Figure(document.getElementById(id), charts, pageData.looks));
const tables = [...document.querySelectorAll("table.data")].map(setUpTable);
const about = [...document.querySelectorAll("[data-facets]")].map((element) => [element, JSON.parse(element.dataset.facets)]);
root.classList.add("scripted");

// Each is drawn when it comes near the screen, the others one by one when the browser has nothing else to do.
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    watcher.unobserve(entry.target);
    const figure = figures.find((one) => one.root === entry.target);
    if (!figure.isDrawn) figure.draw();
  }
}, { rootMargin: "300px" });
figures.forEach((figure) => watcher.observe(figure.root));
const later = window.requestIdleCallback ?? ((work) => setTimeout(() => work({ timeRemaining: () => 8 }), 30));
function drawRest(deadline) {
  const theme = readTheme();
  let next = figures.find((figure) => !figure.isDrawn);
  while (next && deadline.timeRemaining() > 4) {
    next.draw(theme);
    next = figures.find((figure) => !figure.isDrawn);
  }
  if (next) later(drawRest);
  else {
    performance.mark("charts-drawn");
    root.dataset.drawn = "all";
  }
}
const drawAll = () => {
  const theme = readTheme();
  figures.forEach((figure) => figure.draw(theme));
};
later(drawRest);

const preferred = matchMedia("(prefers-color-scheme: dark)");
const themeButton = document.querySelector(".theme");
function setTheme(isDark) {
  root.dataset.theme = isDark ? "dark" : "light";
  themeButton.textContent = isDark ? "Light" : "Dark";
  themeButton.setAttribute("aria-label", `Switch to ${isDark ? "light" : "dark"} colors`);
  const theme = readTheme();
  figures.filter((figure) => figure.isDrawn).forEach((figure) => figure.draw(theme));
}
setTheme(preferred.matches);
preferred.addEventListener("change", (event) => setTheme(event.matches));
themeButton.addEventListener("click", () => setTheme(root.dataset.theme !== "dark"));

const selects = [...filterBar.querySelectorAll("select[data-facet]")];
const reset = filterBar.querySelector(".reset");
function narrow() {
  const wanted = Object.fromEntries(selects.filter((select) => select.value).map((select) => [select.dataset.facet, select.value]));
  for (const [element, facets] of about) element.hidden = !matches(facets, wanted);
  tables.forEach((table) => table.narrow(wanted));
  figures.forEach((figure) => figure.narrow(wanted));
  for (const id of Object.keys(pageData.widgets)) document.getElementById(id).dispatchEvent(new CustomEvent("facets", { detail: wanted }));
  const chosen = Object.values(wanted);
  if (reset) reset.disabled = !chosen.length;
  filterBar.querySelector("output").textContent = chosen.length ? `Only ${chosen.join(", ")}` : "";
  document.querySelector(".nothing").hidden = [...document.querySelectorAll("main > section")].some((section) => !section.hidden);
}
filterBar.hidden = false;
filterBar.addEventListener("change", narrow);
reset?.addEventListener("click", () => {
  selects.forEach((select) => (select.value = ""));
  narrow();
  selects[0].focus();
});

for (const [id, widget] of Object.entries(pageData.widgets)) window.metamodelWidgets?.[widget.name]?.(document.getElementById(id), widget.data);

// Paper is white, and shows what was not yet scrolled to.
let wasDark = false;
addEventListener("beforeprint", () => {
  wasDark = root.dataset.theme === "dark";
  if (wasDark) setTheme(false);
  figures.filter((figure) => !figure.isDrawn).forEach((figure) => figure.draw());
});
addEventListener("afterprint", () => wasDark && setTheme(true));
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  drawAll();
});
