// Curves and scatters.
const MOST_WHISKERS = 16;
const MOST_LABELS = 40;

function curveAxes(chart, shown, theme, width) {
  const xs = shown.series.flatMap((one) => [one.xs, one.xLows ?? [], one.xHighs ?? []]);
  const ys = shown.series.flatMap((one) => [one.ys, one.lows, one.highs]);
  const marks = { x: (chart.xMarks ?? []).map((mark) => mark[1]), y: (chart.yMarks ?? []).map((mark) => mark[1]) };
  const [left, right] = chart.xLimits ?? extent([...xs, marks.x]);
  const [low, high] = chart.yLimits ?? extent([...ys, marks.y]);
  const count = width < 420 ? 3 : 6;
  const across = chart.isLogX ? logScale(xs.flat()) : niceScale(left, right, count);
  return {
    grid: { left: 62, right: 20, top: 12, bottom: 46 },
    xAxis: axisStyle(theme, chart.x, { type: "value", nameGap: 27, ...across }),
    yAxis: axisStyle(theme, chart.y, { type: "value", nameGap: 44, ...niceScale(low, high, width < 420 ? 4 : 5) }),
    ends: [Math.max(across.min, niceScale(low, high).min), Math.min(across.max, niceScale(low, high).max)],
  };
}

function curveOptions(chart, shown, theme, looks, width) {
  const { ends, ...axes } = curveAxes(chart, shown, theme, width);
  const describe = (id, index) => describeCurve(chart, shown, id, index);
  const drawn = shown.series.flatMap((one, place) => {
    const look = lookOf(one.name, looks, theme);
    return chart.kind === "lines" ? lineSeries(one, place, look) : scatterSeries(one, place, look, theme, shown);
  });
  return {
    describe,
    option: { ...baseOptions(theme, describe), ...axes, series: [...guides(chart, ends, theme), ...drawn] },
    steps: shown.series.flatMap((one, place) => one.xs.map((_, index) => [`series-${place}`, index])),
  };
}

function describeCurve(chart, shown, id, index) {
  const [kind, place] = id.split("-");
  const one = shown.series[Number(place)];
  if (kind !== "series" || !one) return null;
  const lines = [one.labels?.[index] ? `${one.labels[index]} (${one.name})` : one.name];
  lines.push(`${chart.x}: ${numberText(one.xs[index])}${intervalText(one.xLows?.[index], one.xHighs?.[index])}`);
  lines.push(`${chart.y}: ${numberText(one.ys[index])}${intervalText(one.lows[index], one.highs[index])}`);
  if (isNumber(one.ns?.[index])) lines.push(`${numberText(one.ns[index])} prompts`);
  if (isNumber(one.weights?.[index])) lines.push(`${(100 * one.weights[index]).toFixed(1)} % of the labels`);
  return lines;
}

function guides(chart, ends, theme) {
  const quiet = { type: "line", symbol: "none", silent: true, tooltip: { show: false }, animation: false, z: 1 };
  const found = [];
  if (chart.hasDiagonal) found.push({ ...quiet, id: "diagonal", data: [[ends[0], ends[0]], [ends[1], ends[1]]], lineStyle: { color: theme.soft, type: [4, 3], width: 1 } });
  const marks = [...(chart.xMarks ?? []).map(([name, at]) => ({ name, xAxis: at })), ...(chart.yMarks ?? []).map(([name, at]) => ({ name, yAxis: at }))];
  if (marks.length) {
    const label = { formatter: (mark) => mark.name, color: theme.soft, fontSize: 10, position: "insideEndTop" };
    found.push({ ...quiet, id: "marks", data: [], markLine: { symbol: "none", silent: true, animation: false, data: marks, label, lineStyle: { color: theme.ink, type: [4, 3], width: 1.2 } } });
  }
  return found;
}

function lineSeries(one, place, look) {
  const data = one.xs.map((x, index) => ({
    value: [x, one.ys[index]],
    symbolSize: one.weights.length ? 5 + 11 * Math.sqrt(one.weights[index] ?? 0) : one.xs.length > 30 ? 3 : 7,
  }));
  const curve = {
    type: "line", id: `series-${place}`, name: one.name, data, symbol: symbolPath(look.shape), showSymbol: true, animation: false,
    lineStyle: { color: look.color, width: look.isBaseline ? 1.4 : 2, type: look.dash ?? "solid" }, itemStyle: { color: look.color },
    emphasis: { focus: "none" }, z: look.isBaseline ? 3 : 4,
  };
  return one.lows.length ? [one.xs.length > MOST_WHISKERS ? band(one, place, look) : whiskers(one, place, look), curve] : [curve];
}

function whiskers(one, place, look) {
  const data = one.xs.map((x, index) => [x, one.lows[index] ?? NaN, one.highs[index] ?? NaN]);
  const renderItem = (params, api) => {
    if (!isNumber(api.value(1)) || !isNumber(api.value(2))) return null;
    const [x, bottom] = api.coord([api.value(0), api.value(1)]);
    return line(x, bottom, x, api.coord([api.value(0), api.value(2)])[1], look.color, 1.2);
  };
  return { ...customSeries(`whiskers-${place}`, data, { x: 0, y: [1, 2] }, renderItem), silent: true, tooltip: { show: false }, clip: true };
}

function band(one, place, look) {
  const known = one.xs.map((_, index) => index).filter((index) => isNumber(one.lows[index]) && isNumber(one.highs[index]));
  const corners = [...known.map((index) => [one.xs[index], one.lows[index]]), ...known.reverse().map((index) => [one.xs[index], one.highs[index]])];
  const renderItem = (params, api) => ({ type: "polygon", shape: { points: corners.map((corner) => api.coord(corner)) }, style: { fill: look.color, opacity: 0.16 } });
  return { ...customSeries(`band-${place}`, corners.slice(0, 1), { x: 0, y: 1 }, renderItem, 1), silent: true, tooltip: { show: false }, clip: true };
}

function scatterSeries(one, place, look, theme, shown) {
  const n = shown.series.reduce((sum, series) => sum + series.xs.length, 0);
  const points = {
    type: "scatter", id: `series-${place}`, name: one.name, animation: false, symbol: symbolPath(look.shape), symbolSize: n > 300 ? 5 : 9,
    itemStyle: { color: look.color }, data: one.xs.map((x, index) => [x, one.ys[index]]), z: 4,
    label: { show: n <= MOST_LABELS && one.labels.length > 0, position: "right", color: theme.ink, fontSize: 10.5, formatter: (point) => short(one.labels[point.dataIndex] ?? "", 22) },
    labelLayout: { hideOverlap: true },
  };
  const ends = [one.lows, one.xLows].some((values) => values.length);
  return ends ? [crosses(one, place, look), points] : [points];
}

function crosses(one, place, look) {
  const data = one.xs.map((x, index) => [x, one.ys[index], one.lows[index] ?? NaN, one.highs[index] ?? NaN, one.xLows[index] ?? NaN, one.xHighs[index] ?? NaN]);
  const renderItem = (params, api) => {
    const [x, y, low, high, left, right] = [0, 1, 2, 3, 4, 5].map((place) => api.value(place));
    const at = (a, b) => api.coord([a, b]);
    const children = [];
    if (isNumber(low) && isNumber(high)) children.push(line(at(x, low)[0], at(x, low)[1], at(x, high)[0], at(x, high)[1], look.color, 1));
    if (isNumber(left) && isNumber(right)) children.push(line(at(left, y)[0], at(left, y)[1], at(right, y)[0], at(right, y)[1], look.color, 1));
    return { type: "group", children };
  };
  return { ...customSeries(`crosses-${place}`, data, { x: 0, y: 1 }, renderItem), silent: true, tooltip: { show: false }, clip: true };
}
