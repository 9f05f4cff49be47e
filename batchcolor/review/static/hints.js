// Colour hints: placing, choosing a colour, moving, deleting.

import { postJson } from "./api.js";
import { pickColor } from "./picker.js";
import { layout, stage } from "./stage.js";
import { emit, on, store } from "./store.js";

const byId = (id) => document.getElementById(id);
const editor = byId("hint-editor"), swatches = byId("swatches"), wheel = byId("wheel"), list = byId("hints");
const text = byId("hint-text"), addButton = byId("add-hint");
const RADIUS = 0.42;
// Of the wheel in the CbCr plane.
let luma = 0.5, likely = [], request = 0;

const current = () => store.items.get(stage.item?.id);
const hints = () => current()?.decision.hints || [];

// ---- placing -----------------------------------------------------------------------------------

export function togglePlacing(isPlacing = !stage.isPlacing) {
  stage.isPlacing = isPlacing && !store.isLocked && !stage.item.film;
  if (!stage.isPlacing) stage.selectedHint = -1;
  show();
}

on("placed", async (share) => {
  const item = stage.item, number = ++request;
  const point = [round(share.x * stage.width), round(share.y * stage.height)];
  const found = await findLikely(item, share);
  if (number !== request || stage.item.id !== item.id || !found) return;
  // The colour that is there already: nothing changes before a colour is chosen.
  change([...hints(), { points: [point], color: found[0], width: Math.round(hintWidth()) }]);
  stage.selectedHint = hints().length - 1;
  show();
});

const round = (value) => Math.round(value * 10) / 10;
const hintWidth = () => Math.max(stage.width, stage.height) / 60;

async function findLikely(item, { x, y }) {
  try {
    const decision = { ...current().decision, hints: [] };
    const body = { x: clamp(x), y: clamp(y), decision };
    const { colors } = await postJson(`/api/items/${item.id}/colors`, body);
    likely = colors;
    luma = lumaOf(colors[0]);
    return colors;
  } catch (error) {
    emit("error", error.message);
    return null;
  }
}

const clamp = (value) => Math.max(0, Math.min(1, value));

function change(changed) {
  emit("change", { hints: changed });
}

on("hint-chosen", async (index) => {
  const hint = hints()[index];
  if (!hint) return;
  stage.isPlacing = true;
  stage.selectedHint = index;
  show();
  const [x, y] = hint.points[0];
  const number = ++request;
  await findLikely(stage.item, { x: x / stage.width, y: y / stage.height });
  if (number === request) show();
});

on("hint-moved", ({ index, share }) => {
  stage.hints = stage.hints.map((hint, each) => each === index ? moved(hint, share) : hint);
  layout();
});

on("hint-dropped", () => change(stage.hints));

function moved(hint, share) {
  const dx = clamp(share.x) * stage.width - hint.points[0][0], dy = clamp(share.y) * stage.height - hint.points[0][1];
  return { ...hint, points: hint.points.map(([x, y]) => [round(x + dx), round(y + dy)]) };
}

export function removeHint(index = stage.selectedHint) {
  if (index < 0 || !hints()[index]) return false;
  change(hints().filter((_, each) => each !== index));
  stage.selectedHint = -1;
  show();
  return true;
}

function setColor(color) {
  const index = stage.selectedHint;
  if (index < 0) return;
  change(hints().map((hint, each) => each === index ? { ...hint, color } : hint));
  show();
}

export async function useEyedropper() {
  if (stage.selectedHint < 0) {
    emit("error", "Place a hint first (H, then click the picture); then pick its colour.");
    return;
  }
  const index = stage.selectedHint, color = await pickColor();
  stage.selectedHint = index;
  if (color) setColor(color);
}

addButton.addEventListener("click", () => togglePlacing(true));
byId("eyedropper").addEventListener("click", useEyedropper);
byId("remove-hint").addEventListener("click", () => removeHint());
byId("end-hint").addEventListener("click", () => togglePlacing(false));

// ---- showing ------------------------------------------------------------------------------------

export function show() {
  stage.hints = hints();
  if (stage.selectedHint >= stage.hints.length) stage.selectedHint = -1;
  const chosen = stage.hints[stage.selectedHint];
  editor.hidden = !chosen;
  addButton.hidden = Boolean(stage.item?.film) || stage.isPlacing;
  addButton.disabled = store.isLocked;
  text.textContent = stage.item?.film ? "Films take no hints: choose a variant."
    : !stage.isPlacing ? ""
      : chosen ? "Choose the colour. Drag the dot to move it; click the picture for another hint."
        : "Click the place whose colour is wrong.";
  renew(list, JSON.stringify([stage.hints, stage.selectedHint]), () => stage.hints.map(makeEntry));
  if (chosen) {
    renew(swatches, likely.join(), () => likely.map(makeSwatch));
    for (const swatch of swatches.children) swatch.setAttribute("aria-pressed", String(swatch.dataset.color === chosen.color));
    drawWheel(chosen.color);
  }
  layout();
}

// Makes the children anew only where they change: a click must not lose its button.
function renew(element, key, make) {
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(...make());
}

function makeSwatch(color) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "swatch";
  button.style.background = color;
  button.setAttribute("aria-label", `Colour ${color}`);
  button.dataset.color = color;
  button.addEventListener("click", () => setColor(color));
  return button;
}

function makeEntry(hint, index) {
  const entry = document.createElement("li");
  const choose = document.createElement("button");
  choose.type = "button";
  choose.className = "hint-entry";
  choose.setAttribute("aria-current", String(index === stage.selectedHint));
  const mark = document.createElement("i");
  mark.style.background = hint.color;
  choose.append(mark, `Hint ${index + 1}`);
  choose.addEventListener("click", () => emit("hint-chosen", index));
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "icon";
  remove.textContent = "×";
  remove.setAttribute("aria-label", `Remove hint ${index + 1}`);
  remove.addEventListener("click", () => removeHint(index));
  entry.append(choose, remove);
  return entry;
}

// ---- the colour wheel: hue around, chroma outwards, at the luma of the place -----------------------

function channels(color) {
  return [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16) / 255);
}

function lumaOf(color) {
  const [red, green, blue] = channels(color);
  return 0.299 * red + 0.587 * green + 0.114 * blue;
}

function toRgb(cb, cr) {
  const rgb = [luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb];
  // Towards grey until it lies inside RGB, as a job does it.
  const scale = Math.min(1, ...rgb.map((value) => value > 1 ? (1 - luma) / (value - luma)
    : value < 0 ? luma / (luma - value) : 1));
  return rgb.map((value) => Math.round(255 * clamp(luma + (value - luma) * scale)));
}

function drawWheel(color) {
  const context = wheel.getContext("2d"), size = wheel.width, half = size / 2;
  const pixels = context.createImageData(size, size);
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1) {
      const cb = (column + 0.5 - half) / half * RADIUS, cr = (half - row - 0.5) / half * RADIUS;
      const inside = half - Math.hypot(column + 0.5 - half, half - row - 0.5);
      const at = 4 * (row * size + column);
      pixels.data.set(toRgb(cb, cr), at);
      pixels.data[at + 3] = 255 * clamp(inside);
    }
  }
  context.putImageData(pixels, 0, 0);
  const { cb, cr } = chromaOf(color);
  const x = half + cb / RADIUS * half, y = half - cr / RADIUS * half;
  for (const [style, width] of [["#000", 5], ["#fff", 2.5]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.beginPath();
    context.arc(x, y, 9, 0, 2 * Math.PI);
    context.stroke();
  }
}

function chromaOf(color) {
  const [red, , blue] = channels(color), y = lumaOf(color);
  return { cb: (blue - y) / 1.772, cr: (red - y) / 1.402 };
}

function toHex(cb, cr) {
  const length = Math.hypot(cb, cr), scale = length > RADIUS ? RADIUS / length : 1;
  return `#${toRgb(cb * scale, cr * scale).map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

function wheelColor(event) {
  const box = wheel.getBoundingClientRect(), half = box.width / 2;
  return toHex((event.clientX - box.left - half) / half * RADIUS, (half - event.clientY + box.top) / half * RADIUS);
}

let wheelChosen = null;
wheel.addEventListener("pointerdown", (event) => {
  wheel.setPointerCapture(event.pointerId);
  dragWheel(event);
});
wheel.addEventListener("pointermove", (event) => event.buttons && wheelChosen && dragWheel(event));
wheel.addEventListener("pointerup", () => {
  if (wheelChosen) setColor(wheelChosen);
  wheelChosen = null;
});

function dragWheel(event) {
  wheelChosen = wheelColor(event);
  drawWheel(wheelChosen);
  stage.hints = stage.hints.map((hint, index) => index === stage.selectedHint ? { ...hint, color: wheelChosen } : hint);
  layout();
  emit("try", { hints: stage.hints });
}

wheel.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const step = steps[event.key], chosen = stage.hints[stage.selectedHint];
  if (!step || !chosen) return;
  event.preventDefault();
  event.stopPropagation();
  const { cb, cr } = chromaOf(chosen.color);
  setColor(toHex(cb + step[0] * 0.02, cr + step[1] * 0.02));
});

