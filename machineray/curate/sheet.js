(() => {
  const $ = (id) => document.getElementById(id);
  const { sheet: hash, lists } = JSON.parse($("data").textContent);
  const sheet = document.querySelector(".sheet");
  const figures = [...sheet.children];
  const boxes = figures.map((figure) => figure.querySelector("input"));
  const buttons = [...document.querySelectorAll("[data-show]")];

  /* What was decided otherwise than the page says, on all pages of the sheet: list -> id -> title, or false. */
  const store = common.kept("sheet", hash, { reject: {}, keep: {} });
  const { changes } = store;
  const undone = [];

  function show(box) {
    box.closest("figure").classList.toggle("rejected", box.checked && box.name === "reject");
  }

  function ids(list) {
    const all = new Map(lists[list].map((id) => [id, ""]));
    for (const box of boxes) if (box && all.has(box.value)) all.set(box.value, box.title);
    for (const [id, title] of Object.entries(changes[list])) {
      if (title === false) all.delete(id); else all.set(id, title);
    }
    return all;
  }

  function remember() {
    store.keep();
    for (const list in lists) {
      const { size } = ids(list);
      document.querySelector(`[data-save="${list}"] span`).textContent = size;
      document.querySelector(`[data-list="${list}"]`).hidden = !size;
    }
  }

  /* Set boxes as given, and remember how they were. */
  function put(wanted, is_undo = false) {
    if (!wanted.length) return;
    if (!is_undo) undone.push(wanted.map(([box, is_checked]) => [box, !is_checked]));
    const at = shown().indexOf(wanted[0][0]);
    for (const [box, is_checked] of wanted) {
      box.checked = is_checked;
      show(box);
      const list = changes[box.name];
      if (is_checked === box.defaultChecked) delete list[box.value];
      else list[box.value] = is_checked ? box.title : false;
    }
    remember();
    const left = shown();
    if (at >= 0 && !left.includes(wanted[0][0])) look(left[Math.min(at, left.length - 1)]); // it went out of sight
  }

  function undo() {
    const last = undone.pop();
    if (!last) return;
    put(last, true);
    last[0][0].focus();
  }

  /* On paper ids are one a line, with a title behind "#": what --reject and --keep read. */
  function save(list) {
    common.save(list + ".txt", [...ids(list)].map(([id, title]) => (title ? id + "  # " + title : id)).sort());
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
    look(among[at < 0 ? 0 : Math.min(among.length - 1, Math.max(0, at + step))]);
  }

  function look(box) {
    if (!box) return;
    box.focus({ preventScroll: true });
    box.closest("figure").scrollIntoView({ block: "nearest" });
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
    a: () => put(shown().filter((box) => box.name === "reject" && !box.checked).map((box) => [box, true])),
    u: undo,
    s: () => save("reject"),
    k: () => save("keep"),
  };
  buttons.forEach((button, i) => { keys[i + 1] = () => filter(button.dataset.show); });

  for (const box of boxes) {
    if (!box) continue;
    if (box.value in changes[box.name]) box.checked = changes[box.name][box.value] !== false;
    else box.checked = box.defaultChecked; // not what the browser remembers of the form
    show(box);
  }
  remember();
  common.nameRoot($("root"));

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
  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => save(button.dataset.save));
  }
})();
