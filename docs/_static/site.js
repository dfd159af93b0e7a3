// Blocks that scroll sideways can be reached with the keyboard.
const scrolling = "div.highlight pre, .table-wrapper, .math-wrapper, div.cell_output .output";
for (const block of document.querySelectorAll(scrolling)) {
  if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
}

// The theme gives its two side bars no names.
document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "Pages");
document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
