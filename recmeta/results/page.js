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
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    // Empty cells stand last either way.
    const empty = (row) => ["", "-"].includes(row.cells[head.cellIndex].textContent);
    const rows = [...body.rows].sort((one, other) =>
      empty(one) - empty(other) ||
      (up ? 1 : -1) * before(key(one.cells[head.cellIndex]), key(other.cells[head.cellIndex])));
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
