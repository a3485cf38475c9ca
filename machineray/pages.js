"use strict";
/* What the pages to click on have in common. */
const common = {
  /* The root that the page lies in, for a shell. It is not written in the page: that is the same in every root. */
  nameRoot(element) {
    const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\"'\"'") + "'");
    try {
      const [, root] = decodeURIComponent(location.pathname).match(/^(.+)\/runs\/[^/]+\/[^/]+\/[^/]+$/);
      if (location.protocol === "file:") element.textContent = " --root " + quoted(root);
    } catch { /* it was taken out of its root */ }
  },
  /* What was decided on all pages of one folder and content; `fresh` where nothing was, or no storage is. */
  kept(what, hash, fresh) {
    const key = "mray " + what + " " + hash + location.pathname.replace(/[^/]*$/, "");
    const store = { changes: fresh, keep() {
      try { localStorage.setItem(key, JSON.stringify(store.changes)); } catch { /* no storage here: this page alone */ }
    } };
    try { store.changes = JSON.parse(localStorage.getItem(key)) || fresh; } catch { /* as above */ }
    return store;
  },
  save(name, lines) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(lines.map((line) => line + "\n"), { type: "text/plain" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  },
};
