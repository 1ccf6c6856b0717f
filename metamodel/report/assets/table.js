// Tables that sort by their headings and narrow by text, by names, and by the page's filters.
const FEWEST_SORTED = 2;

function cellName(cell) {
  return (cell.querySelector("bdi, .verdict") ?? cell).textContent;
}

function cellOrder(cell) {
  const value = cell.dataset.value;
  if (value === undefined) return cellName(cell).trim();
  return value === "" ? null : Number(value === "inf" ? Infinity : value === "-inf" ? -Infinity : value);
}

// Gaps stand last whichever way a column is sorted.
function compareCells(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return direction * (a - b);
  return direction * String(a).localeCompare(String(b), undefined, { numeric: true });
}

function makeSortable(table, state) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    if (!button.textContent.trim()) button.setAttribute("aria-label", `Column ${column + 1}`);
    head.append(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const ascending = before ? before === "descending" : !head.classList.contains("num");
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const keyed = [...table.tBodies[0].rows].map((row) => [cellOrder(row.cells[column]), row]);
      keyed.sort((a, b) => compareCells(a[0], b[0], ascending ? 1 : -1));
      table.tBodies[0].append(...keyed.map((pair) => pair[1]));
      state.say(`sorted by ${head.textContent.trim()}, ${ascending ? "ascending" : "descending"}`);
    });
  });
}

function setUpTable(table) {
  const filters = table.closest(".scroll").parentElement.querySelectorAll(".filters");
  const mine = [...filters].filter((one) => one.compareDocumentPosition(table) & Node.DOCUMENT_POSITION_FOLLOWING).pop();
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const faceted = heads.map((head, column) => [head.dataset.facet, column]).filter((pair) => pair[0]);
  const selects = [...mine.querySelectorAll("select")];
  const search = mine.querySelector("input");
  const output = mine.querySelector("output");
  let wanted = {};
  let texts = null;
  const apply = () => {
    const word = search ? search.value.toLowerCase() : "";
    if (word && !texts) texts = rows.map((row) => row.textContent.toLowerCase());
    let shown = 0;
    rows.forEach((row, index) => {
      const fits =
        selects.every((select) => !select.value || cellName(row.cells[Number(select.dataset.column)]) === select.value) &&
        faceted.every(([facet, column]) => !wanted[facet] || [wanted[facet], pageData.pooled].includes(cellName(row.cells[column]))) &&
        (!word || texts[index].includes(word));
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    output.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
  };
  if (rows.length >= FEWEST_SORTED) makeSortable(table, { say: (text) => (output.textContent = text) });
  mine.addEventListener("input", apply);
  mine.hidden = !selects.length && !search;
  output.textContent = `${rows.length} rows`;
  return {
    narrow: (facets) => {
      wanted = facets;
      if (faceted.length) apply();
    },
  };
}
