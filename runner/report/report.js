(() => {
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details")) folded.open = true;
  });
  const filter = document.querySelector(".filter");
  if (!filter) return;
  const search = document.getElementById("search");
  const kind = document.getElementById("kind");
  const found = document.getElementById("found");
  const items = [...document.querySelectorAll(".example")];
  const update = () => {
    const words = search.value.trim().toLowerCase();
    let shown = 0;
    for (const item of items) {
      const fits = (!kind.value || item.dataset.kind === kind.value)
        && (!words || item.textContent.toLowerCase().includes(words));
      item.hidden = !fits;
      shown += fits;
    }
    found.textContent = `${shown} of ${items.length}`;
  };
  search.addEventListener("input", update);
  kind.addEventListener("change", update);
  filter.hidden = false;
  update();
})();
