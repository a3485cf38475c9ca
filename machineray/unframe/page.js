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

  function outline(picture, box) {
    picture.querySelector(".drawn")?.remove();
    if (!box || box[4]) return; // corners: the page has their outline
    const [left, top, right, bottom] = box;
    const shape = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    shape.setAttribute("class", "drawn");
    shape.setAttribute("points", `${left},${top} ${right},${top} ${right},${bottom} ${left},${bottom}`);
    picture.append(shape);
  }

  function show(figure) {
    const { id } = figure.dataset, box = told(id);
    for (const tick of figure.querySelectorAll("[name=box]")) {
      tick.checked = !!box && !box[4] && JSON.parse(tick.value).every((edge, i) => edge === box[i]);
    }
    figure.querySelector("[name=reject]").checked = id in changes.reject;
    outline(pictureOf(figure), box);
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
  const ordered = ([a, b, c, d]) => [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
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

  /* A box, and which of its edges move with the pointer: those that are near, or two of a new one. */
  function grasped({ x, y, scale }) {
    const box = (told(figure.dataset.id) || JSON.parse(figure.dataset.box)).slice(0, 4);
    const grip = GRIP * scale;
    const along = [y, x].map((value, i) => value >= box[1 - i] - grip && value <= box[3 - i] + grip);
    const edges = [0, 1, 2, 3].filter((i) => along[i % 2] && Math.abs((i % 2 ? y : x) - box[i]) <= grip);
    return edges.length ? { box, edges } : { box: [x, y, x, y], edges: [2, 3] };
  }

  large.addEventListener("pointerdown", (event) => {
    large.setPointerCapture(event.pointerId);
    drag = grasped(place(event));
  });
  large.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const { x, y } = place(event);
    drag.isMoved = true;
    for (const edge of drag.edges) drag.box[edge] = edge % 2 ? y : x;
    outline(large, ordered(drag.box));
  });
  large.addEventListener("pointerup", () => {
    if (!drag) return;
    const box = ordered(drag.box), { isMoved } = drag, { width, height } = large.viewBox.baseVal;
    drag = null;
    if (isMoved && box[2] - box[0] >= LEAST * width && box[3] - box[1] >= LEAST * height) change("boxes", figure, box);
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
