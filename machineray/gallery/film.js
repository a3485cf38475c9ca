"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  /* How it learned: the slider turns the sheets, and the same moment is marked in every curve. */
  const reel = $("reel");
  if (reel) {
    const frame = $("frame"), play = $("play"), grids = JSON.parse(reel.dataset.grids);
    const kept = [];
    const turn = () => {
      const [kimg, file, said] = grids[reel.value];
      frame.src = file;
      $("kimg").textContent = said;
      reel.setAttribute("aria-valuetext", said);
      for (const line of document.querySelectorAll(".curves .now")) {
        const x = kimg * line.dataset.scale;
        line.setAttribute("x1", x);
        line.setAttribute("x2", x);
        line.style.visibility = Number(reel.value) < grids.length - 1 ? "visible" : "hidden";
      }
    };
    const fetchAll = () => { if (!kept.length) kept.push(...grids.map(([, file]) => Object.assign(new Image(), { src: file }))); };
    let timer = 0;
    const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
    reel.addEventListener("input", () => { stop(); turn(); });
    reel.addEventListener("pointerenter", fetchAll);
    reel.addEventListener("focus", fetchAll);
    play.hidden = grids.length < 2;
    play.onclick = () => {
      if (timer) return stop();
      fetchAll();
      if (Number(reel.value) === grids.length - 1) reel.value = 0;
      play.textContent = "Pause";
      turn();
      timer = setInterval(() => {
        reel.value = Number(reel.value) + 1;
        turn();
        if (Number(reel.value) === grids.length - 1) stop();
      }, Math.max(120, Math.min(700, 9000 / grids.length)));
    };
  }
})();
