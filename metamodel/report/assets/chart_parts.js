// What all charts share: colors of the theme, shapes, scales, the text of a value, options of the library.
const SHAPES = ["circle", "diamond", "rect", "triangle", "pin", "plus"];
const BASELINE_SHAPES = ["cross", "left", "right", "down"];
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif';
const MINUS = "\u2212";

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    page: color("page"), raised: color("raised"), ink: color("ink"), soft: color("soft"), line: color("line"),
    bad: color("bad"), trained: [0, 1, 2, 3, 4, 5].map((i) => color(`series-${i}`)),
    baseline: [0, 1, 2].map((i) => color(`grey-${i}`)), low: color("scale-low"), middle: color("scale-middle"),
    high: color("scale-high"),
  };
}

// The shape moves on by one after each round of colors, so that no pair comes back soon.
function lookOf(name, looks, theme) {
  const [index, isBaseline] = looks[name] ?? [0, false];
  const colors = isBaseline ? theme.baseline : theme.trained;
  const shapes = isBaseline ? BASELINE_SHAPES : SHAPES;
  return {
    color: colors[index % colors.length],
    shape: shapes[(index + Math.floor(index / colors.length)) % shapes.length],
    isBaseline,
    dash: isBaseline ? [5, 3] : null,
  };
}

// Corners of each shape around (0, 0) within a circle of radius 1; a circle has none.
const CORNERS = {
  diamond: [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]],
  rect: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  triangle: [[0, -1.1], [1.1, 0.9], [-1.1, 0.9]],
  down: [[0, 1.1], [1.1, -0.9], [-1.1, -0.9]],
  left: [[-1.1, 0], [0.9, -1.1], [0.9, 1.1]],
  right: [[1.1, 0], [-0.9, -1.1], [-0.9, 1.1]],
  pin: [[0, -1.2], [0.75, 1.1], [-1.2, -0.3], [1.2, -0.3], [-0.75, 1.1]],
  plus: [[-0.4, -1.1], [0.4, -1.1], [0.4, -0.4], [1.1, -0.4], [1.1, 0.4], [0.4, 0.4], [0.4, 1.1], [-0.4, 1.1], [-0.4, 0.4], [-1.1, 0.4], [-1.1, -0.4], [-0.4, -0.4]],
  cross: [[0, -0.5], [0.7, -1.2], [1.2, -0.7], [0.5, 0], [1.2, 0.7], [0.7, 1.2], [0, 0.5], [-0.7, 1.2], [-1.2, 0.7], [-0.5, 0], [-1.2, -0.7], [-0.7, -1.2]],
};

function corners(shape, x, y, radius) {
  return (CORNERS[shape] ?? []).map(([dx, dy]) => [x + dx * radius, y + dy * radius]);
}

function marker(look, x, y, radius, fill) {
  const style = { fill: fill ?? look.color, stroke: look.color, lineWidth: 1 };
  if (look.shape === "circle") return { type: "circle", shape: { cx: x, cy: y, r: radius }, style };
  return { type: "polygon", shape: { points: corners(look.shape, x, y, radius) }, style };
}

// The same shapes for the library's own curves, as paths.
function symbolPath(shape) {
  if (shape === "circle") return "circle";
  return `path://M${CORNERS[shape].map((point) => point.join(" ")).join("L")}Z`;
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

function numberText(value) {
  if (!isNumber(value)) return "\u2013";
  const size = Math.abs(value);
  const text = Number.isInteger(value) && size < 1e6 ? String(value)
    : size !== 0 && (size < 0.001 || size >= 1e6) ? value.toPrecision(3) : value.toFixed(size >= 100 ? 1 : 3);
  return text.replace("-", MINUS);
}

function intervalText(low, high) {
  return isNumber(low) && isNumber(high) ? ` [${numberText(low)}, ${numberText(high)}]` : "";
}

function short(text, length = 26) {
  return text.length > length ? `${text.slice(0, length - 1)}\u2026` : text;
}

// Ends of an axis on whole steps, and the step.
function niceScale(low, high, count = 5) {
  if (!(high > low)) [low, high] = [low - 0.5, high + 0.5];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  return { min: Math.floor(low / step + 1e-9) * step, max: Math.ceil(high / step - 1e-9) * step, interval: step };
}

function logScale(values) {
  const known = values.filter((value) => isNumber(value) && value > 0);
  return { type: "log", min: Math.min(...known) / 1.15, max: Math.max(...known) * 1.15 };
}

function extent(lists) {
  const known = lists.flat().filter(isNumber);
  return known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
}

function axisStyle(theme, name, extra) {
  return {
    name, nameLocation: "middle", nameTextStyle: { color: theme.soft, fontFamily: FONT, fontSize: 11 },
    axisLine: { show: false, onZero: false }, axisTick: { show: false },
    axisLabel: { color: theme.ink, fontFamily: FONT, fontSize: 11, hideOverlap: true, formatter: (value) => axisText(value) },
    splitLine: { show: true, lineStyle: { color: theme.line, width: 1 } }, ...extra,
  };
}

function axisText(value) {
  if (typeof value !== "number") return value;
  const text = Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(0) : String(Number(value.toPrecision(4)));
  return text.replace("-", MINUS);
}

// Lines of text in an element of their own: names are never read as markup.
function textBox(lines) {
  const box = document.createElement("div");
  box.className = "tip";
  lines.forEach((line, index) => {
    const part = document.createElement(index ? "div" : "strong");
    part.textContent = line;
    box.append(part);
  });
  return box;
}

function baseOptions(theme, describe) {
  return {
    animation: false, aria: { enabled: false }, backgroundColor: "transparent",
    textStyle: { fontFamily: FONT, color: theme.ink },
    tooltip: {
      trigger: "item", confine: true, transitionDuration: 0, backgroundColor: theme.raised, borderColor: theme.line,
      borderWidth: 1, padding: [6, 10], textStyle: { color: theme.ink, fontSize: 12, fontFamily: FONT },
      formatter: (point) => {
        const lines = describe(point.seriesId, point.dataIndex);
        return lines ? textBox(lines) : "";
      },
    },
  };
}

function line(x1, y1, x2, y2, stroke, lineWidth = 1, lineDash = null) {
  return { type: "line", shape: { x1, y1, x2, y2 }, style: { stroke, lineWidth, lineDash }, silent: true };
}
