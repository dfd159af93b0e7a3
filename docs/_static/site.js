// Blocks that scroll sideways can be reached with the keyboard.
const scrolling = "div.highlight pre, .table-wrapper, div.cell_output .output";
for (const block of document.querySelectorAll(scrolling)) {
  if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
}
