"use strict";
{
  // The theme: what the reader last chose, where the browser lets a page remember it.
  const root = document.documentElement, button = document.getElementById("theme");
  const remembered = () => { try { return localStorage.getItem("lamella-theme"); } catch { return null; } };
  const dark = () => getComputedStyle(root).colorScheme === "dark"
    || (root.dataset.theme === undefined && matchMedia("(prefers-color-scheme: dark)").matches);
  if (remembered()) root.dataset.theme = remembered();
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("lamella-theme", root.dataset.theme); } catch { /* the choice lasts as long as the page */ }
  });
  // The values under the pointer are read from the chart's own table.
  document.addEventListener("pointermove", (event) => {
    const picture = event.target.closest?.(".chart > svg"), cursor = picture?.querySelector(".cursor");
    if (!cursor) return;
    const figure = picture.closest("figure"), rows = [...figure.querySelectorAll("tr[data-x]")];
    const box = picture.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * picture.viewBox.baseVal.width;
    const row = rows.reduce((a, b) => Math.abs(b.dataset.x - at) < Math.abs(a.dataset.x - at) ? b : a);
    const names = [...figure.querySelectorAll("thead th")];
    cursor.setAttribute("transform", `translate(${row.dataset.x})`);
    figure.querySelector("output").textContent =
      [...row.cells].map((cell, i) => `${names[i].textContent} ${cell.textContent}`).join(" · ");
  });
  document.addEventListener("pointerout", (event) => {
    const figure = event.target.closest?.(".chart > svg") && event.target.closest("figure");
    if (!figure || figure.querySelector("svg").contains(event.relatedTarget)) return;
    figure.querySelector("output").textContent = "";
    figure.querySelector(".cursor")?.removeAttribute("transform");
  });
}
