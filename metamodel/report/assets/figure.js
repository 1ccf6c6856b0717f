// A figure: one legend over one chart or several, drawn when it comes near, stepped through with the arrow keys.
function matches(facets, wanted, isBaseline = false) {
  // Whoever asks for one metamodel still sees the baselines it must beat.
  return Object.entries(facets ?? {}).every(([facet, name]) => !wanted[facet] || name === wanted[facet] || (isBaseline && facet === "metamodel"));
}

const DRAW = {
  bars: { options: barsOptions, height: (chart, shown) => barsLayout(chart, shown).height },
  lines: { options: curveOptions, height: () => 270 },
  points: { options: curveOptions, height: () => 400 },
  heatmap: { options: heatOptions, height: (chart, shown, width) => heatLayout(chart, shown, width).height },
  tree: { options: treeOptions, height: (chart) => 62 + 22 * (chart.names.length + 1) },
};

class Figure {
  constructor(root, charts, looks) {
    this.root = root;
    this.looks = looks;
    this.hidden = new Set();
    this.wanted = {};
    this.isDrawn = false;
    this.area = root.querySelector(".charts");
    this.area.hidden = false;
    this.legend = document.createElement("ul");
    this.legend.className = "legend";
    this.area.before(this.legend);
    this.panels = charts.map((chart) => this.addPanel(chart, charts.length > 1));
    this.fillLegend(charts);
    this.reserve();
  }

  addPanel(chart, isOneOfMany) {
    const box = document.createElement("div");
    box.className = "panel";
    if (isOneOfMany) {
      const title = document.createElement("h4");
      title.append(Object.assign(document.createElement("bdi"), { textContent: chart.title }));
      box.append(title);
    }
    const canvas = document.createElement("div");
    canvas.className = "chart";
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "group");
    canvas.setAttribute("aria-roledescription", "chart");
    canvas.setAttribute("aria-label", `${chart.title}. Arrow keys step through its values.`);
    const voice = document.createElement("div");
    voice.className = "voice";
    voice.setAttribute("aria-live", "polite");
    box.append(canvas, voice);
    this.area.append(box);
    const panel = { chart, box, canvas, voice, drawn: null, steps: [], place: -1 };
    canvas.addEventListener("keydown", (event) => this.step(panel, event));
    canvas.addEventListener("blur", () => panel.drawn?.dispatchAction({ type: "hideTip" }));
    return panel;
  }

  fillLegend(charts) {
    const names = [...new Set(charts.flatMap((chart) => (chart.series ?? []).map((one) => one.name)))];
    this.legend.hidden = !names.length;
    for (const name of names) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.append(swatch(this.looks[name]), Object.assign(document.createElement("bdi"), { textContent: name }));
      button.addEventListener("click", () => {
        if (!this.hidden.delete(name)) this.hidden.add(name);
        button.setAttribute("aria-pressed", String(!this.hidden.has(name)));
        this.draw();
      });
      const item = document.createElement("li");
      item.append(button);
      this.legend.append(item);
    }
    const references = [...new Set(charts.flatMap((chart) => (chart.references ?? []).map((one) => one.name)))];
    for (const name of references) {
      const item = document.createElement("li");
      item.className = "reference";
      item.textContent = name;
      this.legend.append(item);
    }
  }

  shown(chart) {
    const series = (chart.series ?? []).filter((one) => !this.hidden.has(one.name) && matches(one.facets, this.wanted, one.isBaseline));
    const wanted = (facet, name) => !facet || !this.wanted[facet] || this.wanted[facet] === name || name === pageData.pooled;
    return { series, wanted, category: (name) => wanted(chart.categoryFacet, name) };
  }

  reserve() {
    for (const panel of this.panels) {
      const shown = this.shown(panel.chart);
      panel.canvas.style.height = `${Math.round(DRAW[panel.chart.kind].height(panel.chart, shown, 700))}px`;
    }
  }

  draw(theme = readTheme()) {
    this.isDrawn = true;
    for (const panel of this.panels) {
      const shown = this.shown(panel.chart);
      const isEmpty = !matches(panel.chart.facets, this.wanted) || (panel.chart.series && !shown.series.length) || (panel.chart.categories && !panel.chart.categories.some(shown.category));
      panel.box.hidden = isEmpty;
      const width = panel.canvas.clientWidth;
      if (!isEmpty && width) this.drawPanel(panel, shown, theme, width);
    }
  }

  drawPanel(panel, shown, theme, width) {
    const kind = DRAW[panel.chart.kind];
    const height = Math.round(kind.height(panel.chart, shown, width));
    panel.canvas.style.height = `${height}px`;
    panel.drawn ??= echarts.init(panel.canvas, null, { renderer: "svg", width, height });
    panel.drawn.resize({ width, height });
    const { option, describe, steps, scale } = kind.options(panel.chart, shown, theme, this.looks, width);
    panel.drawn.setOption(option, { notMerge: true });
    Object.assign(panel, { describe, steps, place: -1 });
    // Paper is narrower than a screen: with a viewBox the drawing shrinks with its box.
    const svg = panel.canvas.querySelector("svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-hidden", "true");
    if (scale) showScale(panel, scale);
  }

  step(panel, event) {
    const moves = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key === "Escape") return panel.drawn?.dispatchAction({ type: "hideTip" });
    if (!(event.key in moves) && event.key !== "Home" && event.key !== "End") return undefined;
    if (!this.isDrawn) this.draw();
    event.preventDefault();
    const last = panel.steps.length - 1;
    const next = event.key === "Home" ? 0 : event.key === "End" ? last : panel.place + moves[event.key];
    panel.place = Math.min(Math.max(next, 0), last);
    const [seriesId, dataIndex] = panel.steps[panel.place] ?? [];
    if (seriesId === undefined) return undefined;
    panel.voice.textContent = (panel.describe(seriesId, dataIndex) ?? []).join(". ");
    panel.drawn.dispatchAction({ type: "showTip", seriesIndex: panel.drawn.getOption().series.findIndex((one) => one.id === seriesId), dataIndex });
    return undefined;
  }

  narrow(wanted) {
    this.wanted = wanted;
    if (this.isDrawn) this.draw();
  }
}

function swatch([index, isBaseline]) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "-7 -7 14 14");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `swatch ${isBaseline ? `grey-${index % 3}` : `series-${index % 6}`}`);
  const { shape } = lookOf("one", { one: [index, isBaseline] }, { trained: Array(6).fill(""), baseline: Array(3).fill("") });
  const drawn = document.createElementNS(svg.namespaceURI, shape === "circle" ? "circle" : "polygon");
  if (shape === "circle") drawn.setAttribute("r", "5");
  else drawn.setAttribute("points", corners(shape, 0, 0, 5).map((point) => point.join(",")).join(" "));
  svg.append(drawn);
  return svg;
}

function showScale(panel, scale) {
  panel.box.querySelector(".scale")?.remove();
  const box = document.createElement("div");
  box.className = "scale";
  const strip = document.createElement("span");
  strip.className = "strip";
  const stops = [0, 0.25, 0.5, 0.75, 1].map((share) => scale.color(scale.low + share * (scale.high - scale.low)));
  strip.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  box.append(numberText(scale.low), strip, numberText(scale.high), ` ${scale.unit}`);
  panel.canvas.after(box);
}
