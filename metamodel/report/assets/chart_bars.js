// Bars and points with intervals: categories down, values across.
function barsLayout(chart, shown) {
  const keep = chart.categories.map((name, index) => index).filter((index) => shown.category(chart.categories[index]));
  const n = Math.max(shown.series.length, 1);
  const band = chart.isPoints ? Math.max(24, 10 * n + 8) : Math.max(26, 15 * n + 10);
  return { keep, band, height: keep.length * band + 62 };
}

function barsLimits(chart, shown, keep) {
  if (chart.limits) return chart.limits;
  const taken = (series) => [series.values, series.lows, series.highs].map((values) => keep.map((index) => values[index]));
  const [low, high] = extent([...shown.series, ...chart.references].flatMap(taken));
  return chart.isPoints ? [low, high] : [Math.min(low, 0), Math.max(high, 0)];
}

function barsOptions(chart, shown, theme, looks, width) {
  const { keep } = barsLayout(chart, shown);
  const names = keep.map((index) => chart.categories[index]);
  const left = Math.min(16 + 7 * Math.max(4, ...names.map((name) => short(name).length)), width * 0.42);
  const [low, high] = barsLimits(chart, shown, keep);
  const describe = (id, index) => describeBar(chart, shown, id, keep[index]);
  const series = [
    ...chart.references.map((one, place) => referenceSeries(one, `reference-${place}`, keep, theme)),
    zeroSeries(theme),
    ...shown.series.map((one, place) => barSeries(chart, one, place, shown, keep, lookOf(one.name, looks, theme), theme)),
  ];
  return {
    describe,
    option: {
      ...baseOptions(theme, describe),
      grid: { left, right: 18, top: 8, bottom: 46 },
      xAxis: axisStyle(theme, chart.unit, { type: "value", nameGap: 27, ...niceScale(low, high, width < 420 ? 3 : 6) }),
      yAxis: axisStyle(theme, "", {
        type: "category", data: names, inverse: true, splitLine: { show: false },
        splitArea: { show: names.length > 2, areaStyle: { color: ["transparent", theme.raised] } },
        axisLabel: { color: theme.ink, fontFamily: FONT, fontSize: 11.5, interval: 0, width: left - 10, overflow: "truncate", formatter: (name) => short(name) },
      }),
      series,
    },
    steps: names.flatMap((_, row) => shown.series.map((_, place) => [`series-${place}`, row])),
  };
}

function describeBar(chart, shown, id, index) {
  const [kind, place] = id.split("-");
  const one = kind === "reference" ? chart.references[Number(place)] : shown.series[Number(place)];
  if (!one || index === undefined) return null;
  const lines = [one.name, `${chart.categories[index]}: ${numberText(one.values[index])}${intervalText(one.lows[index], one.highs[index])} ${chart.unit}`];
  if (isNumber(one.ns[index])) lines.push(`${numberText(one.ns[index])} prompts`);
  if (kind !== "reference") {
    for (const other of chart.references) {
      if (isNumber(other.values[index])) lines.push(`${other.name}: ${numberText(other.values[index])}${intervalText(other.lows[index], other.highs[index])}`);
    }
  }
  return lines;
}

function customSeries(id, data, encode, renderItem, z = 3) {
  return { type: "custom", id, name: id, data, encode, renderItem, z, clip: false, animation: false };
}

function zeroSeries(theme) {
  const renderItem = (params, api) => {
    const box = params.coordSys;
    const x = api.coord([0, 0])[0];
    if (x < box.x - 1 || x > box.x + box.width + 1) return null;
    return line(x, box.y, x, box.y + box.height, theme.ink, 1.2);
  };
  return { ...customSeries("zero", [[0, 0]], { x: 0, y: 1 }, renderItem, 2), silent: true, tooltip: { show: false } };
}

function referenceSeries(one, id, keep, theme) {
  const data = keep.map((index, row) => [row, one.values[index], one.lows[index] ?? NaN, one.highs[index] ?? NaN]);
  return customSeries(id, data, { x: [1], y: 0 }, (params, api) => {
    if (!isNumber(api.value(1))) return null;
    const half = (api.size([0, 1])[1] * 0.86) / 2;
    const [x, y] = api.coord([api.value(1), api.value(0)]);
    const box = params.coordSys;
    const inside = (value) => Math.min(Math.max(api.coord([value, 0])[0], box.x), box.x + box.width);
    const children = [];
    if (isNumber(api.value(2)) && isNumber(api.value(3))) {
      const [from, to] = [inside(api.value(2)), inside(api.value(3))];
      children.push({ type: "rect", shape: { x: from, y: y - half, width: Math.max(to - from, 0.5), height: 2 * half }, style: { fill: theme.ink, opacity: 0.13 } });
    }
    if (x <= box.x + box.width + 1) children.push({ ...line(x, y - half, x, y + half, theme.ink, 1.6), silent: false });
    return { type: "group", children };
  }, 1);
}

function barSeries(chart, one, place, shown, keep, look, theme) {
  const data = keep.map((index, row) => [row, one.values[index], one.lows[index] ?? NaN, one.highs[index] ?? NaN]);
  return customSeries(`series-${place}`, data, { x: [1], y: 0 }, (params, api) => {
    const value = api.value(1);
    if (!isNumber(value)) return null;
    const box = params.coordSys;
    const step = (api.size([0, 1])[1] * 0.8) / shown.series.length;
    const y = api.coord([0, api.value(0)])[1] + step * (place + 0.5 - shown.series.length / 2);
    const inside = (number) => Math.min(Math.max(api.coord([number, 0])[0], box.x), box.x + box.width);
    const children = [];
    if (!chart.isPoints) children.push(bar(inside(0), inside(value), y, step * 0.82, look, value < 0));
    if (isNumber(api.value(2)) && isNumber(api.value(3))) {
      children.push(line(inside(api.value(2)), y, inside(api.value(3)), y, chart.isPoints ? look.color : theme.ink, 1.3));
    }
    const x = api.coord([value, 0])[0];
    const isBeyond = x < box.x - 1 || x > box.x + box.width + 1;
    if (isBeyond) children.push(...beyond(x < box.x, box, y, value, look, theme));
    else if (chart.isPoints) children.push(marker(look, x, y, 4.2));
    return { type: "group", children };
  });
}

// Worse than nothing is told apart by more than its side: the bar is hollow.
function bar(from, to, y, height, look, isNegative) {
  return {
    type: "rect", shape: { x: Math.min(from, to), y: y - height / 2, width: Math.max(Math.abs(to - from), 1), height },
    style: { fill: isNegative ? "transparent" : look.color, stroke: look.color, lineWidth: isNegative ? 1.5 : 0, lineDash: isNegative ? [3, 2] : null },
  };
}

function beyond(isLeft, box, y, value, look, theme) {
  const x = isLeft ? box.x + 5 : box.x + box.width - 5;
  return [
    { type: "polygon", shape: { points: corners(isLeft ? "left" : "right", x, y, 4.5) }, style: { fill: look.color } },
    { type: "text", style: { text: numberText(value), x: isLeft ? x + 8 : x - 8, y, fill: theme.ink, font: `10px ${FONT}`, align: isLeft ? "left" : "right", verticalAlign: "middle" } },
  ];
}
