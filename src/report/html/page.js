"use strict";
// Sorts and filters the table. The view is kept after the # of the address: #sort=upper&down=1&show=unknown&filter=the
{
  const table = document.getElementById("tokens");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells].filter((cell) => cell.dataset.key);
  const filter = document.getElementById("filter");
  const verdict = document.getElementById("verdict");
  const texts = new Set(["text", "prover"]);
  const view = new URLSearchParams(location.hash.slice(1));

  const order = (key) => (a, b) => texts.has(key)
    ? a.dataset[key].localeCompare(b.dataset[key])
    : Number(a.dataset[key]) - Number(b.dataset[key]);

  function apply() {
    const key = heads.some((cell) => cell.dataset.key === view.get("sort")) ? view.get("sort") : "id";
    const down = view.get("down") === "1";
    const sorted = [...rows].sort(order(key));
    if (down) sorted.reverse();
    body.append(...sorted);
    for (const cell of heads) {
      if (cell.dataset.key === key) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    const wanted = (view.get("filter") ?? "").toLowerCase();
    const show = view.get("show") ?? "";
    let shown = 0;
    for (const row of rows) {
      const { id, text, prover } = row.dataset;
      const named = id === wanted || text.toLowerCase().includes(wanted) || prover.includes(wanted);
      const answered = !show || [...row.querySelectorAll(".badge")].some((badge) => badge.textContent === show);
      row.hidden = !(named && answered);
      if (!row.hidden) shown += 1;
    }
    document.getElementById("shown").textContent = `${shown} of ${rows.length} tokens`;
  }

  function change(name, value) {
    if (value) view.set(name, value);
    else view.delete(name);
    history.replaceState(null, "", `#${view}`);
    apply();
  }

  for (const cell of heads) {
    const button = document.createElement("button");
    button.textContent = cell.textContent;
    button.addEventListener("click", () => {
      const again = (view.get("sort") ?? "id") === cell.dataset.key;
      view.set("sort", cell.dataset.key);
      change("down", again && view.get("down") !== "1" ? "1" : "");
    });
    cell.replaceChildren(button);
  }
  filter.value = view.get("filter") ?? "";
  verdict.value = view.get("show") ?? "";
  filter.addEventListener("input", () => change("filter", filter.value));
  verdict.addEventListener("change", () => change("show", verdict.value));
  document.getElementById("controls").hidden = false;
  apply();
}
