// A block of code that is wider than the page can be scrolled with the keyboard too.
window.addEventListener("load", () => {
  for (const block of document.querySelectorAll("pre")) {
    if (block.scrollWidth > block.clientWidth) {
      block.tabIndex = 0;
    }
  }
});

// On a narrow screen a row of a table is a block: each cell then names its column (see pages.css).
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".content table.docutils")) {
    const names = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, column) => {
        if (names[column]) cell.dataset.column = names[column];
      });
    }
  }
});
