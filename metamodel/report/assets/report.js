"use strict";
// Without this script the page is complete; it only adds sorting and filtering.
(() => {
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.firstChild?.textContent ?? "";
    if (text === "inf") return Infinity;
    const number = Number.parseFloat(text.replace("\u2212", "-"));
    return Number.isNaN(number) ? text.trim() : number;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "number") return -1;
    if (typeof b === "number") return 1;
    return a.localeCompare(b);
  };
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const wasDescending = head.getAttribute("aria-sort") === "descending";
        const isNumeric = head.classList.contains("num");
        const ascending = head.hasAttribute("aria-sort") ? wasDescending : !isNumeric;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => (ascending ? 1 : -1) * compare(valueOf(a, column), valueOf(b, column)));
        table.tBodies[0].append(...rows);
      });
    });
  }
  for (const filters of document.querySelectorAll("[data-filters]")) {
    const rows = [...document.getElementById(filters.dataset.filters).tBodies[0].rows];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const selects = [...filters.querySelectorAll("select")];
    const search = filters.querySelector("input");
    const apply = () => {
      const wanted = search.value.toLowerCase();
      let shown = 0;
      rows.forEach((row, index) => {
        const fits = selects.every((select) => !select.value || row.cells[select.dataset.column].textContent === select.value);
        row.hidden = !(fits && texts[index].includes(wanted));
        shown += row.hidden ? 0 : 1;
      });
      filters.querySelector("output").textContent = `${shown} of ${rows.length} shown`;
    };
    filters.addEventListener("input", apply);
    filters.hidden = false;
    apply();
  }
})();
