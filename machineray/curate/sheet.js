"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const { sheet: hash, rejected } = JSON.parse($("data").textContent);
  const key = "mray reject " + hash + location.pathname.replace(/[^/]*$/, "");
  const sheet = document.querySelector(".sheet");
  const figures = [...sheet.children];
  const boxes = figures.map((figure) => figure.querySelector("input"));
  const buttons = [...document.querySelectorAll("[data-show]")];

  /* What was decided otherwise than the page says, on all pages of the sheet: id -> title, or false. */
  let changes = {};
  try { changes = JSON.parse(localStorage.getItem(key)) || {}; } catch { /* no storage here: this page alone */ }
  const undone = [];

  function show(box) {
    box.closest("figure").classList.toggle("rejected", box.checked);
  }

  function ids() {
    const all = new Map(rejected.map((id) => [id, ""]));
    for (const box of boxes) if (box && all.has(box.value)) all.set(box.value, box.title);
    for (const [id, title] of Object.entries(changes)) {
      if (title === false) all.delete(id); else all.set(id, title);
    }
    return all;
  }

  function keep() {
    try { localStorage.setItem(key, JSON.stringify(changes)); } catch { /* as above */ }
    $("count").textContent = ids().size;
  }

  /* Set boxes as given, and remember how they were. */
  function put(wanted, is_undo = false) {
    if (!wanted.length) return;
    if (!is_undo) undone.push(wanted.map(([box, is_checked]) => [box, !is_checked]));
    for (const [box, is_checked] of wanted) {
      box.checked = is_checked;
      show(box);
      if (is_checked === box.defaultChecked) delete changes[box.value];
      else changes[box.value] = is_checked ? box.title : false;
    }
    keep();
  }

  function undo() {
    const last = undone.pop();
    if (!last) return;
    put(last, true);
    last[0][0].focus();
  }

  /* On paper ids are one a line, with a title behind "#": what --reject reads. */
  function save() {
    const lines = [...ids()].map(([id, title]) => (title ? id + "  # " + title : id) + "\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(lines.sort(), { type: "text/plain" }));
    link.download = "reject.txt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function filter(name) {
    sheet.dataset.shown = name;
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.show === name);
  }

  /* Figures that are shown and can be chosen, in the order of the page. */
  function shown() {
    const name = sheet.dataset.shown;
    return boxes.filter((box, i) => box && (name === "all" || figures[i].classList.contains(name)));
  }

  function move(step) {
    const among = shown();
    const at = among.indexOf(document.activeElement);
    const next = among[at < 0 ? 0 : Math.min(among.length - 1, Math.max(0, at + step))];
    if (!next) return;
    next.focus({ preventScroll: true });
    next.closest("figure").scrollIntoView({ block: "nearest" });
  }

  const columns = () => getComputedStyle(sheet).gridTemplateColumns.split(" ").length;
  const keys = {
    ArrowLeft: () => move(-1),
    ArrowRight: () => move(1),
    ArrowUp: () => move(-columns()),
    ArrowDown: () => move(columns()),
    Home: () => move(-Infinity),
    End: () => move(Infinity),
    x: () => { const box = document.activeElement; if (boxes.includes(box)) put([[box, !box.checked]]); },
    a: () => put(shown().filter((box) => !box.checked).map((box) => [box, true])),
    u: undo,
    s: save,
  };
  buttons.forEach((button, i) => { keys[i + 1] = () => filter(button.dataset.show); });

  for (const box of boxes) {
    if (!box) continue;
    if (box.value in changes) box.checked = changes[box.value] !== false;
    else box.checked = box.defaultChecked; // not what the browser remembers of the form
    show(box);
  }
  keep();

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  sheet.addEventListener("change", ({ target }) => put([[target, target.checked]]));
  for (const button of buttons) button.addEventListener("click", () => filter(button.dataset.show));
  $("undo").addEventListener("click", undo);
  $("save").addEventListener("click", save);
})();
