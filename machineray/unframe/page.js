(() => {
  const $ = (selector) => document.querySelector(selector);
  const { sheet, boxes: given } = JSON.parse($("#data").textContent);
  const figures = [...document.querySelectorAll("figure")];
  const pictureOf = (figure) => figure.querySelector("svg");
  const GRIP = 12; // an edge is grasped from this near, pixels of the screen
  const LEAST = 0.01; // of a side: what is drawn smaller was a click

  /* What was decided on all pages: id -> box, or null: as it was found; and the ids that are not wanted. */
  const store = common.kept("boxes", sheet, { boxes: {}, reject: {} });
  const { changes } = store;
  const told = (id) => (id in changes.boxes ? changes.boxes[id] : given[id]);
  const lists = {
    boxes: () => Object.entries({ ...given, ...changes.boxes }).filter(([id, box]) => box && !(id in changes.reject)),
    reject: () => Object.keys(changes.reject),
  };

  /* A line of boxes.csv, its words as numbers -> corners, top left first, then clockwise; and back. */
  function cornersOf([left, top, right, bottom, leaning]) {
    if (!leaning) return [[left, top], [right, top], [right, bottom], [left, bottom]];
    const numbers = leaning.split(" ").map(Number);
    return [0, 2, 4, 6].map((i) => numbers.slice(i, i + 2));
  }

  function boxOf(corners) {
    const middle = (i, j, axis) => Math.round((corners[i][axis] + corners[j][axis]) / 2);
    const box = [middle(0, 3, 0), middle(0, 1, 1), middle(1, 2, 0), middle(2, 3, 1)];
    return [...box, isUpright(corners) ? "" : corners.flat().join(" ")];
  }

  const isUpright = ([a, b, c, d]) => a[0] === d[0] && b[0] === c[0] && a[1] === b[1] && c[1] === d[1];

  function outline(picture, corners) {
    picture.querySelector(".drawn")?.remove();
    if (!corners) return;
    const shape = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    shape.setAttribute("class", "drawn");
    shape.setAttribute("points", corners.join(" "));
    picture.append(shape);
  }

  function show(figure) {
    const { id } = figure.dataset, box = told(id);
    for (const tick of figure.querySelectorAll("[name=box]")) {
      tick.checked = !!box && tick.value === JSON.stringify(box);
    }
    figure.querySelector("[name=reject]").checked = id in changes.reject;
    outline(pictureOf(figure), box && cornersOf(box));
  }

  function count() {
    for (const [list, entries] of Object.entries(lists)) {
      const size = entries().length;
      $(`[data-save=${list}] span`).textContent = size;
      $(`[data-list=${list}]`).hidden = !size;
    }
  }

  function change(list, figure, value) {
    const { id } = figure.dataset;
    if (value || (list === "boxes" && id in given)) changes[list][id] = value; else delete changes[list][id];
    store.keep();
    show(figure);
    count();
  }

  document.addEventListener("change", ({ target }) => {
    const figure = target.closest("figure");
    if (target.name === "reject") change("reject", figure, target.checked);
    else change("boxes", figure, target.checked ? JSON.parse(target.value) : null);
  });

  /* The picture large, to draw on. */
  const dialog = $("dialog"), large = $("dialog svg");
  let figure, drag = null;

  function look(chosen) {
    figure = chosen;
    large.setAttribute("viewBox", pictureOf(figure).getAttribute("viewBox"));
    large.innerHTML = pictureOf(figure).innerHTML;
    if (!dialog.open) dialog.showModal();
  }

  /* Where the pointer is in the picture, and how many of its pixels are one of the screen. */
  function place({ clientX, clientY }) {
    const matrix = large.getScreenCTM().inverse();
    const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(matrix);
    const { width, height } = large.viewBox.baseVal;
    const within = (value, end) => Math.round(Math.min(Math.max(value, 0), end));
    return { x: within(x, width), y: within(y, height), scale: matrix.a };
  }

  const apart = ([a, b], [c, d]) => Math.hypot(a - c, b - d);

  /* How far a place is from a side, the line between two corners. */
  function beside(place, from, to) {
    const along = [to[0] - from[0], to[1] - from[1]], length = Math.max(apart(from, to), 1e-9);
    const share = ((place[0] - from[0]) * along[0] + (place[1] - from[1]) * along[1]) / length ** 2;
    const at = Math.min(Math.max(share, 0), 1);
    return apart(place, [from[0] + at * along[0], from[1] + at * along[1]]);
  }

  const SIDES = [[0, 1, 1], [1, 2, 0], [2, 3, 1], [3, 0, 0]]; // two corners each, and the axis that a side is moved along

  /* What the pointer moves: [corner, axis] each, of the corners that are there or of a new box. */
  function grasped({ x, y, scale }, isAlone) {
    const corners = cornersOf(told(figure.dataset.id) || JSON.parse(figure.dataset.box));
    const corner = corners.findIndex((each) => apart(each, [x, y]) <= GRIP * scale);
    if (corner >= 0 && (isAlone || !isUpright(corners))) return { corners, moved: [[corner, 0], [corner, 1]] };
    const near = SIDES.filter(([i, j]) => beside([x, y], corners[i], corners[j]) <= GRIP * scale);
    if (near.length) return { corners, moved: near.flatMap(([i, j, axis]) => [[i, axis], [j, axis]]) };
    return { corners: cornersOf([x, y, x, y]), moved: [[1, 0], [2, 0], [2, 1], [3, 1]] };
  }

  /* Drawn backwards, too, the first corner is the top left one. */
  function ordered(corners) {
    if (!isUpright(corners)) return corners;
    const [left, top, right, bottom] = boxOf(corners);
    return cornersOf([Math.min(left, right), Math.min(top, bottom), Math.max(left, right), Math.max(top, bottom)]);
  }

  /* Whether the corners go around clockwise, and each side has some length. */
  function isBox(corners) {
    const { width, height } = large.viewBox.baseVal, [left, top, right, bottom] = boxOf(corners);
    if (right - left < LEAST * width || bottom - top < LEAST * height) return false;
    return SIDES.every(([i, j], k) => {
      const [a, b, c] = [corners[i], corners[j], corners[SIDES[(k + 1) % 4][1]]];
      return (b[0] - a[0]) * (c[1] - b[1]) > (b[1] - a[1]) * (c[0] - b[0]);
    });
  }

  large.addEventListener("pointerdown", (event) => {
    large.setPointerCapture(event.pointerId);
    const from = place(event);
    drag = { ...grasped(from, event.shiftKey), from };
  });
  large.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const to = place(event), { width, height } = large.viewBox.baseVal, steps = [to.x - drag.from.x, to.y - drag.from.y];
    const goes = (value, axis) => Math.min(Math.max(value + steps[axis], 0), axis ? height : width);
    const corners = drag.corners.map((corner) => [...corner]);
    for (const [corner, axis] of drag.moved) corners[corner][axis] = goes(drag.corners[corner][axis], axis);
    drag.drawn = ordered(corners);
    outline(large, drag.drawn);
  });
  large.addEventListener("pointerup", () => {
    const drawn = drag?.drawn;
    drag = null;
    if (drawn && isBox(drawn)) change("boxes", figure, boxOf(drawn));
    look(figure);
  });
  $("#back").addEventListener("click", () => { change("boxes", figure, null); look(figure); });
  $("#close").addEventListener("click", () => dialog.close());
  for (const each of figures) pictureOf(each).addEventListener("click", () => look(each));

  const rows = () => lists.boxes().map(([id, box]) => [id, ...box].join(",")).sort();
  const files = {
    boxes: () => common.save("boxes.csv", ["id,left,top,right,bottom,corners", ...rows()]),
    reject: () => common.save("reject.txt", lists.reject().sort()),
  };
  for (const [list, save] of Object.entries(files)) $(`[data-save=${list}]`).addEventListener("click", save);
  for (const each of figures) show(each);
  count();
  common.nameRoot($("#root"));
})();
