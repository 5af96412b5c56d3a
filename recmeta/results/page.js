"use strict";

// A cell's first number; text without one sorts as text, after all numbers.
function key(cell) {
  const text = cell.textContent.replace(/\u2212/g, "-").replace("\u221e", "Infinity");
  const number = parseFloat(text);
  return Number.isNaN(number) ? text : number;
}

function before(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}

for (const head of document.querySelectorAll("th")) {
  head.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    // The first click shows the best first; of a column without a better end, the lowest.
    const best = head.dataset.goal === "max" ? "descending" : "ascending";
    const other = best === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === best ? other : best;
    const up = order === "ascending";
    for (const each of head.parentNode.children) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    // Empty cells stand last either way.
    const empty = (row) => ["", "-"].includes(row.cells[head.cellIndex].textContent);
    const rows = [...body.rows].sort((one, two) =>
      empty(one) - empty(two) ||
      (up ? 1 : -1) * before(key(one.cells[head.cellIndex]), key(two.cells[head.cellIndex])));
    body.append(...rows);
  });
}

for (const svg of document.querySelectorAll("figure svg")) {
  const view = svg.viewBox.baseVal;
  const whole = { x: view.x, y: view.y, width: view.width, height: view.height };
  const scale = () => view.width / svg.getBoundingClientRect().width;
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = svg.getBoundingClientRect();
    const factor = Math.min(Math.exp(event.deltaY / 500), whole.width / view.width);
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    view.x += x * view.width * (1 - factor);
    view.y += y * view.height * (1 - factor);
    view.width *= factor;
    view.height *= factor;
  }, { passive: false });
  svg.addEventListener("pointerdown", (event) => svg.setPointerCapture(event.pointerId));
  svg.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    const unit = scale();
    view.x -= event.movementX * unit;
    view.y -= event.movementY * unit;
  });
  svg.addEventListener("dblclick", () => Object.assign(view, whole));
}
