// Chooses a picture of the set: as reference, or to pick a colour from it.

import { pictureUrl } from "./api.js";
import { colorAt } from "./stage.js";
import { baseName, compareNames, store } from "./store.js";

const byId = (id) => document.getElementById(id);
const dialog = byId("picker"), list = byId("picker-list"), search = byId("picker-search"), big = byId("picker-picture");
const image = big.querySelector("img");
const MAX_SHOWN = 120;
let answer = null, isForColor = false;

function openDialog(title) {
  byId("picker-title").textContent = title;
  search.value = "";
  showList();
  dialog.showModal();
  return new Promise((resolve) => {
    answer = resolve;
  });
}

function finish(value) {
  const resolve = answer;
  answer = null;
  if (dialog.open) dialog.close();
  resolve?.(value);
}

dialog.addEventListener("close", () => finish(null));

// Returns the id of a picture, or null.
export function pickPicture() {
  isForColor = false;
  return openDialog("Colours like which picture?");
}

// Returns a colour #rrggbb of a picture, or null.
export async function pickColor() {
  isForColor = true;
  const color = openDialog("Pick a colour from a picture");
  const shown = document.getElementById("single-view").dataset.id;
  if (shown) showBig(shown);
  return color;
}

function showList() {
  big.hidden = true;
  list.hidden = false;
  search.hidden = false;
  const part = search.value.trim().toLowerCase();
  const items = [...store.items.values()].filter(
    (item) => item.state !== "failed" && item.state !== "missing" && item.name.toLowerCase().includes(part));
  const rank = (item) => Number(item.decision.state === "approved");
  items.sort((a, b) => rank(b) - rank(a) || compareNames(a, b));
  list.replaceChildren(...items.slice(0, MAX_SHOWN).map((item) => {
    const button = document.createElement("button");
    button.type = "button";
    const thumb = new Image();
    thumb.loading = "lazy";
    thumb.src = pictureUrl(item, "thumb");
    thumb.alt = "";
    const name = document.createElement("span");
    name.textContent = baseName(item);
    button.append(thumb, name);
    button.title = item.name;
    button.addEventListener("click", () => isForColor ? showBig(item.id) : finish(item.id));
    return button;
  }));
}

function showBig(id) {
  const item = store.items.get(id);
  big.hidden = false;
  list.hidden = true;
  search.hidden = true;
  big.querySelector("button")?.remove();
  const other = document.createElement("button");
  other.type = "button";
  other.textContent = "Another picture…";
  other.addEventListener("click", showList);
  big.append(other);
  const shown = document.querySelector("#pane .after");
  const isShown = document.getElementById("single-view").dataset.id === id;
  image.src = isShown ? shown.src : pictureUrl(item, "after", 1200);
}

image.addEventListener("click", (event) => {
  const box = image.getBoundingClientRect();
  finish(colorAt(image, { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height }));
});
search.addEventListener("input", showList);
