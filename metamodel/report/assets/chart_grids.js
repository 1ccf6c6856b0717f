// Matrices of shades and dendrograms.
const MOST_PRINTED_COLUMNS = 14;

function mix(from, to, share) {
  const parts = (color) => [1, 3, 5].map((start) => Number.parseInt(color.slice(start, start + 2), 16));
  const [a, b] = [parts(from), parts(to)];
  return `#${a.map((value, index) => Math.round(value + (b[index] - value) * share).toString(16).padStart(2, "0")).join("")}`;
}

function luminance(color) {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const value = Number.parseInt(color.slice(start, start + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function heatScale(chart, theme) {
  let [low, high] = chart.limits ?? extent(chart.values);
  if (chart.isDiverging) [low, high] = [-Math.max(Math.abs(low), Math.abs(high)), Math.max(Math.abs(low), Math.abs(high))];
  else if (!chart.limits && low > 0) low = 0;
  if (!(high > low)) high = low + 1;
  const color = (value) => {
    const share = Math.min(Math.max((value - low) / (high - low), 0), 1);
    if (!chart.isDiverging) return mix(theme.middle, theme.high, share);
    return share < 0.5 ? mix(theme.low, theme.middle, share * 2) : mix(theme.middle, theme.high, share * 2 - 1);
  };
  return { low, high, color };
}

function heatLayout(chart, shown, width) {
  const rows = chart.rows.map((_, index) => index).filter((index) => shown.wanted(chart.rowFacet, chart.rows[index]));
  const columns = chart.columns.map((_, index) => index).filter((index) => shown.wanted(chart.columnFacet, chart.columns[index]));
  const left = Math.min(20 + 6.4 * Math.max(4, ...rows.map((index) => short(chart.rows[index]).length)), width * 0.4);
  const across = (width - left - 16) / Math.max(columns.length, 1);
  const isTurned = Math.max(0, ...columns.map((index) => short(chart.columns[index], 18).length)) * 6.4 > across;
  const top = isTurned ? 16 + 5.6 * Math.max(...columns.map((index) => short(chart.columns[index], 18).length)) : 26;
  const side = Math.min(Math.max(300 / Math.max(rows.length, 1), 15), 30);
  return { rows, columns, left, top, isTurned, across, side, height: top + rows.length * side + 8 };
}

function heatOptions(chart, shown, theme, looks, width) {
  const layout = heatLayout(chart, shown, width);
  const scale = heatScale(chart, theme);
  const cells = layout.rows.flatMap((row, y) => layout.columns.map((column, x) => [x, y, chart.values[row][column] ?? NaN, row, column]));
  const describe = (id, index) => {
    const [, , value, row, column] = cells[index];
    const lines = [`${chart.rows[row]}, ${chart.columns[column]}`, isNumber(value) ? `${numberText(value)} ${chart.unit}` : "no value"];
    if (chart.texts[row]?.[column]) lines.push(chart.texts[row][column]);
    return lines;
  };
  const isPrinted = layout.columns.length <= MOST_PRINTED_COLUMNS && layout.across > 34;
  const label = { color: theme.ink, fontFamily: FONT, fontSize: 11, interval: 0 };
  return {
    describe,
    option: {
      ...baseOptions(theme, describe),
      grid: { left: layout.left, right: 16, top: layout.top, bottom: 8 },
      xAxis: { type: "category", position: "top", data: layout.columns.map((index) => chart.columns[index]), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { ...label, rotate: layout.isTurned ? 60 : 0, formatter: (name) => short(name, 18) } },
      yAxis: { type: "category", inverse: true, data: layout.rows.map((index) => chart.rows[index]), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { ...label, formatter: (name) => short(name) } },
      series: [customSeries("cells", cells.map((cell) => cell.slice(0, 3)), { x: 0, y: 1 }, (params, api) => heatCell(params, api, scale, isPrinted, theme))],
    },
    steps: cells.map((_, index) => ["cells", index]),
    scale: { ...scale, unit: chart.unit, isDiverging: chart.isDiverging, theme },
  };
}

function heatCell(params, api, scale, isPrinted, theme) {
  const [width, height] = api.size([1, 1]);
  const [x, y] = api.coord([api.value(0), api.value(1)]);
  const value = api.value(2);
  const shape = { x: x - width / 2 + 0.5, y: y - height / 2 + 0.5, width: width - 1, height: height - 1 };
  if (!isNumber(value)) return { type: "rect", shape, style: { fill: "transparent", stroke: theme.line, lineWidth: 1, lineDash: [2, 2] } };
  const fill = scale.color(value);
  const children = [{ type: "rect", shape, style: { fill } }];
  // Whichever of black and white stands out more: they are equally far from a luminance of 0.18.
  const ink = luminance(fill) > 0.18 ? "#000" : "#fff";
  if (isPrinted) children.push({ type: "text", silent: true, style: { text: value.toFixed(2).replace("-", MINUS), x, y, fill: ink, font: `10.5px ${FONT}`, align: "center", verticalAlign: "middle" } });
  return { type: "group", children };
}

function treeOrder(chart) {
  const n = chart.names.length;
  const leaves = (node) => (node < n ? [node] : [...leaves(chart.merges[node - n][0]), ...leaves(chart.merges[node - n][1])]);
  const joined = new Set(chart.merges.flatMap((merge) => merge.slice(0, 2)));
  const roots = [...Array(n + chart.merges.length).keys()].filter((node) => !joined.has(node));
  return roots.flatMap(leaves);
}

function treeOptions(chart, shown, theme, looks, width) {
  const n = chart.names.length;
  const order = treeOrder(chart);
  const places = Array(n).fill(0);
  order.forEach((leaf, row) => (places[leaf] = row));
  const heights = Array(n).fill(0);
  const merges = chart.merges.map(([left, right, height, support]) => {
    const found = [heights[left], places[left], heights[right], places[right], height, support ?? NaN];
    heights.push(height);
    places.push((places[left] + places[right]) / 2);
    return found;
  });
  const describe = (id, index) => {
    const [, , , , height, support] = merges[index];
    return [`${chart.unit}: ${numberText(height)}`, ...(isNumber(support) ? [`found in ${(100 * support).toFixed(0)} % of the draws`] : [])];
  };
  const left = Math.min(14 + 6.4 * Math.max(...chart.names.map((name) => short(name, 34).length)), width * 0.45);
  const renderItem = (params, api) => {
    const [h1, p1, h2, p2, height, support] = [0, 1, 2, 3, 4, 5].map((place) => api.value(place));
    const [a, b, c, d] = [api.coord([h1, p1]), api.coord([height, p1]), api.coord([height, p2]), api.coord([h2, p2])];
    const children = [{ type: "polyline", shape: { points: [a, b, c, d] }, style: { stroke: theme.trained[0], lineWidth: 2, fill: "none" } }];
    if (isNumber(support)) children.push({ type: "text", style: { text: `${(100 * support).toFixed(0)} %`, x: b[0] + 4, y: (b[1] + c[1]) / 2, fill: theme.soft, font: `10px ${FONT}`, verticalAlign: "middle" } });
    return { type: "group", children };
  };
  const highest = Math.max(...chart.merges.map((merge) => merge[2]), 1e-9);
  return {
    describe,
    option: {
      ...baseOptions(theme, describe),
      grid: { left, right: 44, top: 8, bottom: 46 },
      xAxis: axisStyle(theme, chart.unit, { type: "value", nameGap: 27, ...niceScale(0, highest, width < 420 ? 3 : 6) }),
      yAxis: axisStyle(theme, "", { type: "value", inverse: true, min: -1, max: n, interval: 1, splitLine: { show: false }, axisLabel: { color: theme.ink, fontFamily: FONT, fontSize: 11.5, formatter: (row) => (order[row] === undefined ? "" : short(chart.names[order[row]], 34)) } }),
      series: [customSeries("merges", merges, { x: 4, y: [1, 3] }, renderItem)],
    },
    steps: merges.map((_, index) => ["merges", index]),
  };
}
