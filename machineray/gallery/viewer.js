"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const { works } = JSON.parse($("data").textContent);
  const wall = document.querySelector(".wall");
  const places = [...wall.children];
  const thumbs = places.map((place) => place.querySelector("a"));
  const aspects = works.map((work) => work.width / work.height);

  /* Hang: break the works into rows of almost equal height; the sum of squared log ratios is least. */
  function breaks(width, gap, target) {
    const best = [0], start = [0];
    for (let end = 1; end <= aspects.length; end++) {
      best[end] = Infinity;
      for (let first = end - 1, sum = 0; first >= 0; first--) {
        sum += aspects[first];
        const height = (width - gap * (end - first - 1)) / sum;
        if (height < target / 3 && best[end] < Infinity) break;
        const cost = best[first] + Math.log(Math.max(height, 1) / target) ** 2;
        if (cost < best[end]) { best[end] = cost; start[end] = first; }
      }
    }
    const rows = [];
    for (let end = aspects.length; end > 0; end = start[end]) rows.unshift([start[end], end]);
    return rows;
  }

  let hungWidth = 0;
  function hang() {
    const style = getComputedStyle(wall);
    const width = wall.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    if (width === hungWidth || width <= 0) return;
    hungWidth = width;
    const gap = parseFloat(style.columnGap);
    const target = Math.min(148 + 0.116 * width, Math.max(200, 0.72 * innerHeight));
    for (const [first, end] of breaks(width, gap, target)) {
      let sum = 0;
      for (let i = first; i < end; i++) sum += aspects[i];
      const height = Math.min((width - gap * (end - first - 1)) / sum, target * 1.9);
      for (let i = first; i < end; i++) {
        const wide = Math.floor(height * aspects[i] * 50) / 50;
        places[i].style.width = wide + "px";
        thumbs[i].firstElementChild.sizes = Math.ceil(wide) + "px";
        thumbs[i].firstElementChild.style.height = height.toFixed(2) + "px";
      }
    }
    wall.classList.add("hung");
  }
  hang();
  new ResizeObserver(hang).observe(wall);

  /* The viewer. The address is the state: #seed000123 is open, no such name is closed. */
  const viewer = $("viewer"), stage = $("stage"), picture = $("picture");
  const numberOf = new Map(works.map((work, i) => [work.id, i]));
  const view = { index: -1, scale: 1, x: 0, y: 0, fit: 1 };
  let pushed = false, waiting = 0;

  function here() {
    try { return numberOf.get(decodeURIComponent(location.hash.slice(1))); } catch { return undefined; }
  }
  const address = (index) => "#" + encodeURIComponent(works[index].id);
  const actual = () => 1 / devicePixelRatio;
  const isFit = () => view.scale <= view.fit * 1.001;
  const now = () => works[view.index];

  function paint() {
    const wide = now().width * view.scale, high = now().height * view.scale;
    const place = (offset, size, room) =>
      size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, offset));
    view.x = place(view.x, wide, stage.clientWidth);
    view.y = place(view.y, high, stage.clientHeight);
    picture.style.width = wide + "px";
    picture.style.height = high + "px";
    picture.style.transform = `translate(${view.x}px, ${view.y}px)`;
    stage.classList.toggle("close", !isFit());
    const percent = Math.round(view.scale / actual() * 100);
    $("zoom").textContent = percent + " %";
    $("zoom").setAttribute("aria-label", `${percent} percent; ${isFit() ? "show at 100 percent" : "show the whole work"}`);
  }

  function measure() {
    const margin = Math.min(stage.clientWidth, stage.clientHeight) * 0.035;
    view.fit = Math.max(0.001, Math.min((stage.clientWidth - 2 * margin) / now().width,
      (stage.clientHeight - 2 * margin) / now().height, 2));
  }

  function fit() {
    measure();
    view.scale = view.fit;
    paint();
  }

  function zoom(scale, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const next = Math.min(Math.max(scale, Math.min(view.fit, actual())), Math.max(view.fit, 4 * actual()));
    const ratio = next / view.scale;
    view.x = x - (x - view.x) * ratio;
    view.y = y - (y - view.y) * ratio;
    view.scale = next;
    paint();
    if (!isFit()) full();
  }

  function toggle(x, y) {
    if (!isFit()) return fit();
    return zoom(actual() > view.fit * 1.25 ? actual() : view.fit * 2.5, x, y);
  }

  function full() {
    clearTimeout(waiting);
    const work = now();
    if (picture.dataset.state !== "preview") return;
    picture.dataset.state = "loading";
    const whole = new Image();
    whole.src = work.full;
    whole.decode().then(
      () => { if (now() === work) { picture.src = work.full; picture.dataset.state = "full"; } },
      () => { if (now() === work) { picture.dataset.state = "missing"; tell(work); } });
  }

  function tell(work) {
    const note = $("note"), missing = picture.dataset.state === "missing";
    note.hidden = !missing;
    note.textContent = missing ? `The full-size file is not beside this gallery. You see its preview, ${work.preview_size}.` : "";
    const link = (href, text) => Object.assign(document.createElement("a"), { href, textContent: text });
    $("files").replaceChildren(...(missing ? [link(work.preview, "Open the preview")]
      : [link(work.full, "Open the full file"), ...(work.sidecar ? [link(work.sidecar, "How it was made (JSON)")] : [])]));
  }

  function show(index) {
    view.index = index;
    const work = now();
    clearTimeout(waiting);
    picture.src = work.preview;
    picture.alt = work.alt;
    picture.dataset.state = "preview";
    picture.style.background = work.palette[0] || "";
    $("viewer-name").textContent = work.name;
    $("count").textContent = `${index + 1} / ${works.length}`;
    $("facts").replaceChildren(...work.facts.flatMap(([term, value]) => [
      Object.assign(document.createElement("dt"), { textContent: term }),
      Object.assign(document.createElement("dd"), { textContent: value })]));
    $("swatches").replaceChildren(...work.palette.map((colour) => {
      const swatch = document.createElement("i");
      swatch.style.background = colour;
      return swatch;
    }));
    tell(work);
    fit();
    /* Wait a moment, so that leafing through does not fetch every full-size file. */
    waiting = setTimeout(full, 450);
    for (const step of [1, -1]) new Image().src = works[(index + step + works.length) % works.length].preview;
  }

  function sync() {
    const index = here();
    if (index === undefined) {
      if (!viewer.open) return;
      viewer.close();
      clearTimeout(waiting);
      thumbs[view.index].focus();
      view.index = -1;
      return;
    }
    if (!viewer.open) { viewer.showModal(); stage.focus(); }
    if (index !== view.index) show(index);
  }

  function go(step) {
    const index = (view.index + step + works.length) % works.length;
    history.replaceState(null, "", address(index));
    sync();
  }

  function leave() {
    if (pushed) { pushed = false; history.back(); return; }
    history.replaceState(null, "", location.pathname + location.search);
    sync();
  }

  wall.addEventListener("click", (event) => {
    const index = thumbs.indexOf(event.target.closest("a"));
    if (index < 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState(null, "", address(index));
    pushed = true;
    sync();
  });
  addEventListener("popstate", () => { pushed = false; sync(); });
  addEventListener("hashchange", sync);
  viewer.addEventListener("cancel", (event) => { event.preventDefault(); leave(); });
  new ResizeObserver(() => {
    if (view.index < 0) return;
    if (isFit()) return fit();
    measure();
    paint();
  }).observe(stage);

  $("close").onclick = leave;
  $("previous").onclick = () => go(-1);
  $("next").onclick = () => go(1);
  $("larger").onclick = () => zoom(view.scale * 1.5);
  $("smaller").onclick = () => zoom(view.scale / 1.5);
  $("zoom").onclick = () => toggle();

  function pan(x, y) { view.x += x; view.y += y; paint(); }
  const keys = {
    ArrowLeft: () => go(-1), ArrowRight: () => go(1),
    Home: () => go(-view.index), End: () => go(works.length - 1 - view.index),
    "+": () => zoom(view.scale * 1.5), "=": () => zoom(view.scale * 1.5),
    "-": () => zoom(view.scale / 1.5), 0: fit, 1: () => zoom(actual()),
  };
  const shifted = {
    ArrowLeft: () => pan(80, 0), ArrowRight: () => pan(-80, 0), ArrowUp: () => pan(0, 80), ArrowDown: () => pan(0, -80),
    "+": keys["+"],
  };
  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = (event.shiftKey ? shifted : keys)[event.key];
    if (action) { event.preventDefault(); action(); }
  });

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { left, top } = stage.getBoundingClientRect();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 18 : 1);
    zoom(view.scale * Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), event.clientX - left, event.clientY - top);
  }, { passive: false });

  /* One finger or the mouse: move, swipe, tap. Two fingers: pinch. */
  const fingers = new Map();
  let gesture = null, lastTap = 0;
  const middle = () => {
    const { left, top } = stage.getBoundingClientRect(), all = [...fingers.values()];
    const x = all.reduce((sum, f) => sum + f.x, 0) / all.length - left;
    const y = all.reduce((sum, f) => sum + f.y, 0) / all.length - top;
    return { x, y, spread: all.length > 1 ? Math.hypot(all[0].x - all[1].x, all[0].y - all[1].y) : 0 };
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    gesture = { ...middle(), from: middle(), moved: (gesture && fingers.size > 1) || false, on: event.target === picture };
  });
  stage.addEventListener("pointermove", (event) => {
    if (!gesture || !fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const at = middle();
    if (Math.hypot(at.x - gesture.from.x, at.y - gesture.from.y) > 6 || fingers.size > 1) gesture.moved = true;
    if (!gesture.moved) return;
    stage.classList.add("dragging");
    if (fingers.size > 1) {
      gesture.pinched = true;
      if (gesture.spread > 0) zoom(view.scale * at.spread / gesture.spread, at.x, at.y);
    }
    if (isFit()) picture.style.transform = `translate(${view.x + at.x - gesture.from.x}px, ${view.y}px)`;
    else pan(at.x - gesture.x, at.y - gesture.y);
    Object.assign(gesture, at);
  });
  function lift(event) {
    if (!fingers.delete(event.pointerId) || !gesture) return;
    if (fingers.size) { Object.assign(gesture, middle(), { from: middle() }); return; }
    const { moved, on, pinched, from, x, y } = gesture, across = x - from.x, down = y - from.y;
    gesture = null;
    stage.classList.remove("dragging");
    paint();
    if (event.type === "pointercancel" || pinched) return;
    if (!moved) return tap(event, on, x, y);
    if (!isFit()) return;
    if (Math.abs(across) > 48 && Math.abs(across) > Math.abs(down)) go(across < 0 ? 1 : -1);
    else if (down > 90) leave();
  }
  function tap(event, on, x, y) {
    if (!on) { if (isFit()) leave(); return; }
    const again = event.timeStamp - lastTap < 320;
    lastTap = again ? 0 : event.timeStamp;
    if (event.pointerType === "mouse" || again) toggle(x, y);
  }
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", lift);

  const root = $("root"), copy = $("copy");
  if (root) common.nameRoot(root);
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.onclick = () => navigator.clipboard.writeText($("command").textContent).then(
      () => { copy.textContent = "Copied"; setTimeout(() => { copy.textContent = "Copy"; }, 1600); }, () => {});
  }

  if (here() !== undefined) thumbs[here()].scrollIntoView({ block: "center", behavior: "instant" });
  sync();
})();
