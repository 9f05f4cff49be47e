// The grid of thumbnails: only the rows that are visible exist as elements.

import { pictureUrl } from "./api.js";
import { baseName, emit, hasLook, on, store } from "./store.js";

const grid = document.getElementById("grid");
const rows = document.getElementById("rows");
const MIN_TILE = 168, MIN_TILE_NARROW = 108, GAP = 12, CAPTION = 26, SPARE_ROWS = 2;

const tiles = new Map();
let columns = 1, tileWidth = MIN_TILE, rowHeight = MIN_TILE;
let anchor = null;
export let focused = 0;

function measure() {
  const width = grid.clientWidth - 2 * GAP;
  const least = width < 600 ? MIN_TILE_NARROW : MIN_TILE;
  columns = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
  tileWidth = Math.floor((width - (columns - 1) * GAP) / columns);
  rowHeight = tileWidth + CAPTION + GAP;
  rows.style.height = `${Math.ceil(store.order.length / columns) * rowHeight + GAP}px`;
}

function render() {
  if (document.body.dataset.view !== "grid") return;
  measure();
  const first = Math.max(0, Math.floor(grid.scrollTop / rowHeight) - SPARE_ROWS);
  const last = Math.ceil((grid.scrollTop + grid.clientHeight) / rowHeight) + SPARE_ROWS;
  const visible = new Set(store.order.slice(first * columns, last * columns));
  for (const [id, tile] of tiles) {
    if (!visible.has(id)) {
      tile.remove();
      tiles.delete(id);
    }
  }
  store.order.slice(first * columns, last * columns).forEach((id, offset) => {
    const index = first * columns + offset;
    if (!tiles.has(id)) {
      tiles.set(id, makeTile(id));
      rows.append(tiles.get(id));
    }
    place(tiles.get(id), index);
    update(id);
  });
  document.getElementById("empty").hidden = store.order.length > 0;
}

function place(tile, index) {
  tile.style.width = `${tileWidth}px`;
  const left = GAP + (index % columns) * (tileWidth + GAP);
  const top = GAP + Math.floor(index / columns) * rowHeight;
  tile.style.transform = `translate(${left}px, ${top}px)`;
  tile.querySelector(".thumb").style.height = `${tileWidth}px`;
}

function makeTile(id) {
  const tile = document.createElement("div");
  tile.className = "tile";
  tile.dataset.id = id;
  tile.setAttribute("role", "option");
  const thumb = document.createElement("div");
  thumb.className = "thumb";
  const image = new Image();
  image.decoding = "async";
  image.draggable = false;
  image.alt = "";
  image.addEventListener("error", () => tile.classList.add("broken"));
  image.addEventListener("load", () => tile.classList.remove("broken"));
  const badge = document.createElement("span");
  badge.className = "badge";
  const check = makeButton("check", "Select (X)", "");
  const approve = makeButton("quick approve", "Approve", "✓");
  const reject = makeButton("quick reject", "Keep grey", "◐");
  thumb.append(image, badge, check, approve, reject);
  const caption = document.createElement("span");
  caption.className = "caption";
  tile.append(thumb, caption);
  return tile;
}

function makeButton(className, label, text) {
  const button = document.createElement("button");
  button.type = "button";
  button.tabIndex = -1;
  button.className = className;
  button.title = label;
  button.setAttribute("aria-label", label);
  button.textContent = text;
  return button;
}

const MARKS = { failed: ["!", "failed"], missing: ["?", "result deleted"], changed: ["≠", "result changed"] };

// What the state of an item is called, in words.
export function describeState(item) {
  const words = [];
  if (item.decision.state === "approved") words.push("approved");
  if (item.decision.state === "rejected") words.push("kept grey");
  if (hasLook(item.decision)) words.push("corrected");
  if (store.pending.has(item.id)) words.push("not written yet");
  if (MARKS[item.state]) words.push(MARKS[item.state][1]);
  return words.join(", ");
}

function update(id) {
  const tile = tiles.get(id), item = store.items.get(id);
  if (!tile || !item) return;
  const image = tile.querySelector("img"), url = pictureUrl(item, "thumb");
  if (image.getAttribute("src") !== url) image.src = url;
  const state = item.decision.state || "";
  tile.dataset.state = state;
  tile.dataset.fault = item.state === "done" ? "" : item.state;
  tile.classList.toggle("pending", store.pending.has(id));
  tile.classList.toggle("selected", store.selected.has(id));
  tile.classList.toggle("focused", store.order[focused] === id);
  tile.setAttribute("aria-selected", String(store.selected.has(id)));
  const mark = MARKS[item.state]?.[0] || (state === "approved" ? "✓" : state === "rejected" ? "◐" : "");
  tile.querySelector(".badge").textContent = mark + (item.film ? " ▶" : "");
  tile.querySelector(".caption").textContent = baseName(item);
  const words = describeState(item);
  tile.title = words ? `${item.name}: ${words}` : item.name;
  tile.setAttribute("aria-label", tile.title);
  tile.id = `tile-${id}`;
}

export function focusOn(index, { isSelecting = false } = {}) {
  if (!store.order.length) return;
  const former = store.order[focused];
  focused = Math.max(0, Math.min(store.order.length - 1, index));
  if (isSelecting) {
    anchor ??= store.order.indexOf(former);
    const [low, high] = [Math.min(anchor, focused), Math.max(anchor, focused)];
    store.order.slice(low, high + 1).forEach((id) => store.selected.add(id));
    emit("selected");
  } else anchor = null;
  const top = Math.floor(focused / columns) * rowHeight;
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top + rowHeight + GAP > grid.scrollTop + grid.clientHeight) {
    grid.scrollTop = top + rowHeight + GAP - grid.clientHeight;
  }
  render();
  grid.setAttribute("aria-activedescendant", `tile-${store.order[focused]}`);
}

export function toggle(id) {
  if (store.selected.has(id)) store.selected.delete(id); else store.selected.add(id);
  emit("selected");
}

export function moveFocus(key, isSelecting) {
  const rowsVisible = Math.max(1, Math.floor(grid.clientHeight / rowHeight));
  const steps = {
    ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
    PageUp: -columns * rowsVisible, PageDown: columns * rowsVisible,
  };
  if (key === "Home") focusOn(0, { isSelecting });
  else if (key === "End") focusOn(store.order.length - 1, { isSelecting });
  else if (steps[key]) focusOn(focused + steps[key], { isSelecting });
  else return false;
  return true;
}

export function showGrid(id) {
  const index = store.order.indexOf(id);
  measure();
  render();
  if (index >= 0) focusOn(index);
  grid.focus({ preventScroll: true });
}

grid.addEventListener("scroll", () => requestAnimationFrame(render), { passive: true });
new ResizeObserver(() => render()).observe(grid);
for (const kind of ["arranged", "loaded", "selected"]) on(kind, render);
on("decided", ({ ids }) => ids.forEach(update));
on("saved", ({ ids }) => ids.forEach(update));

grid.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile || wasLongPress) return;
  const id = tile.dataset.id;
  const index = store.order.indexOf(id);
  if (event.target.closest(".approve")) emit("act", { act: "approve", ids: [id] });
  else if (event.target.closest(".reject")) emit("act", { act: "reject", ids: [id] });
  else if (event.shiftKey) focusOn(index, { isSelecting: true });
  else if (event.target.closest(".check") || event.ctrlKey || event.metaKey || isTouchSelecting) {
    focused = index;
    anchor = index;
    toggle(id);
  } else {
    focused = index;
    emit("open", id);
  }
});

// A long press selects by touch; while something is selected, a tap selects too.
let pressTimer = 0, wasLongPress = false, isTouchSelecting = false;
grid.addEventListener("pointerdown", (event) => {
  const tile = event.target.closest(".tile");
  wasLongPress = false;
  isTouchSelecting = event.pointerType === "touch" && store.selected.size > 0;
  if (!tile || event.pointerType !== "touch") return;
  pressTimer = setTimeout(() => {
    wasLongPress = true;
    toggle(tile.dataset.id);
  }, 500);
});
for (const kind of ["pointerup", "pointercancel", "pointermove"]) {
  grid.addEventListener(kind, (event) => {
    if (kind !== "pointermove" || Math.hypot(event.movementX, event.movementY) > 4) clearTimeout(pressTimer);
  });
}
grid.addEventListener("contextmenu", (event) => wasLongPress && event.preventDefault());
