// A block of code that is wider than the page can be scrolled with the keyboard too.
window.addEventListener("load", () => {
  for (const block of document.querySelectorAll("pre")) {
    if (block.scrollWidth > block.clientWidth) {
      block.tabIndex = 0;
    }
  }
});
