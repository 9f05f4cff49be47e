// The picture: result and original above each other, divider, side by side, zoom and pan.

import { pictureUrl, shotUrl } from "./api.js";
import { emit } from "./store.js";

const byId = (id) => document.getElementById(id);
const stageElement = byId("stage");
const panes = { left: byId("pane-left"), main: byId("pane") };
const divider = byId("divider"), dots = byId("dots"), note = byId("note");
const afterImage = panes.main.querySelector(".after");
const beforeImages = [panes.main.querySelector(".before"), panes.left.querySelector(".before")];

const FULL_SIDE = 8000, SHOT_SIDE = 2000, STEPS = [800, 1200, 1600, 2000];
const MAX_SCALE = 8, WHEEL_FACTOR = 1.0015;

export const stage = {
  item: null, shot: null, mode: "result", split: 0.5, isHolding: false, isPlacing: false,
  width: 1, height: 1, scale: 0, x: 0.5, y: 0.5, hints: [], selectedHint: -1,
};
let afterUrl = "";

// ---- what is shown ------------------------------------------------------------------------------

export function screenSide() {
  const needed = Math.max(panes.main.clientWidth, panes.main.clientHeight) * devicePixelRatio;
  return STEPS.find((side) => side >= needed) || STEPS.at(-1);
}

export function open(item, size) {
  const isOther = stage.item?.id !== item.id;
  stage.item = item;
  if (isOther) Object.assign(stage, { width: 0, height: 0, scale: 0, x: 0.5, y: 0.5 });
  if (size) Object.assign(stage, size);
  loadBefore();
  layout();
}

export function setSize({ width, height }) {
  Object.assign(stage, { width, height });
  layout();
}

// Shows a shot of a film; null: the frame of the whole film.
export function setShot(shot) {
  stage.shot = shot;
  loadBefore();
}

function loadBefore() {
  const side = stage.scale > 0 ? FULL_SIDE : screenSide();
  const url = stage.shot === null ? pictureUrl(stage.item, "before", side) : shotUrl(stage.item, stage.shot, Math.min(side, SHOT_SIDE));
  for (const image of beforeImages) if (image.getAttribute("src") !== url) image.src = url;
}

// Shows the written result; `showPreview` shows one that is computed.
export function showResult() {
  setAfter(pictureUrl(stage.item, "after", stage.scale > 0 ? FULL_SIDE : screenSide()));
}

export function showPreview(url) {
  setAfter(url);
}

export function showNothing() {
  setAfter(pictureUrl(stage.item, "thumb"));
}

function setAfter(url) {
  if (afterUrl.startsWith("blob:") && afterUrl !== url) URL.revokeObjectURL(afterUrl);
  if (afterImage.getAttribute("src") !== url) afterImage.src = url;
  afterUrl = url;
}

afterImage.addEventListener("load", () => {
  if (stage.width) return;
  Object.assign(stage, { width: afterImage.naturalWidth, height: afterImage.naturalHeight });
  layout();
});

export function setNote(text) {
  note.textContent = text;
  note.hidden = !text;
}

// ---- layout --------------------------------------------------------------------------------------

const fitScale = () => Math.min(
  (panes.main.clientWidth - 2) / (stage.width || 1), (panes.main.clientHeight - 2) / (stage.height || 1));
const currentScale = () => stage.scale || Math.min(fitScale(), 3);

export function layout() {
  stageElement.dataset.mode = stage.mode;
  stageElement.classList.toggle("zoomed", stage.scale > 0);
  stageElement.classList.toggle("placing", stage.isPlacing);
  const scale = currentScale();
  keepInside(scale);
  const width = stage.width * scale, height = stage.height * scale;
  const pane = panes.main;
  const left = pane.clientWidth / 2 - stage.x * width, top = pane.clientHeight / 2 - stage.y * height;
  for (const each of Object.values(panes)) {
    const layer = each.querySelector(".layer");
    Object.assign(layer.style, {
      width: `${width}px`, height: `${height}px`, transform: `translate(${left}px, ${top}px)`,
    });
    layer.classList.toggle("pixels", scale * devicePixelRatio > 3);
  }
  layoutDivider(left, width);
  layoutDots(left, top, scale);
  for (const button of stageElement.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-checked", String(button.dataset.mode === stage.mode));
  }
  byId("zoom").textContent = stage.scale ? `${Math.round(scale * devicePixelRatio * 100)} %` : "Fit";
  byId("tag").textContent = stage.isHolding ? "Before" : "Result";
}

function keepInside(scale) {
  for (const [axis, size, room] of [
    ["x", stage.width * scale, panes.main.clientWidth], ["y", stage.height * scale, panes.main.clientHeight]]) {
    const margin = size <= room ? 0.5 : room / 2 / size;
    stage[axis] = Math.max(margin, Math.min(1 - margin, stage[axis]));
  }
}

function layoutDivider(left, width) {
  const before = beforeImages[0];
  const isSlider = stage.mode === "slider";
  divider.hidden = !isSlider;
  if (stage.isHolding) before.style.clipPath = "none";
  else if (isSlider) {
    const visibleLeft = Math.max(0, left), visibleRight = Math.min(panes.main.clientWidth, left + width);
    const line = visibleLeft + (visibleRight - visibleLeft) * stage.split;
    divider.style.left = `${line}px`;
    divider.setAttribute("aria-valuenow", String(Math.round(stage.split * 100)));
    before.style.clipPath = `inset(0 ${Math.max(0, left + width - line)}px 0 0)`;
  } else before.style.clipPath = "inset(0 100% 0 0)";
}

function layoutDots(left, top, scale) {
  dots.replaceChildren(...stage.hints.map((hint, index) => {
    const [x, y] = hint.points[0];
    const dot = document.createElement("button");
    dot.type = "button";
    dot.className = index === stage.selectedHint ? "dot chosen" : "dot";
    dot.style.transform = `translate(${left + x * scale}px, ${top + y * scale}px)`;
    dot.style.setProperty("--color", hint.color);
    dot.dataset.index = index;
    dot.setAttribute("aria-label", `Hint ${index + 1}, ${hint.color}`);
    return dot;
  }));
}

new ResizeObserver(() => stage.item && layout()).observe(stageElement);

// ---- modes and zoom --------------------------------------------------------------------------

export function setMode(mode) {
  stage.mode = mode;
  layout();
  try { localStorage.setItem("mode", mode); } catch { /* storage is not permitted */ }
}

export function hold(isHolding) {
  stage.isHolding = isHolding;
  layout();
}

export function setSplit(share) {
  stage.split = Math.max(0, Math.min(1, share));
  layout();
}

export function toggleZoom(clientX, clientY) {
  const full = 1 / devicePixelRatio;
  if (stage.scale) zoomTo(0);
  else zoomTo(fitScale() < full ? full : Math.min(MAX_SCALE, 2 * currentScale()), clientX, clientY);
}

export function zoomBy(factor, clientX, clientY) {
  const scale = currentScale() * factor;
  zoomTo(scale <= fitScale() * 1.01 && factor < 1 ? 0 : Math.min(MAX_SCALE, scale), clientX, clientY);
}

function zoomTo(scale, clientX, clientY) {
  const anchor = clientX === undefined ? null : shareAt(clientX, clientY);
  const former = currentScale(), wasFit = !stage.scale;
  stage.scale = scale;
  if (anchor && scale) {
    stage.x = anchor.x + (stage.x - anchor.x) * (former / scale);
    stage.y = anchor.y + (stage.y - anchor.y) * (former / scale);
  }
  layout();
  if (wasFit !== !scale) {
    loadBefore();
    emit("zoomed");
  }
}

export function pan(dx, dy) {
  const scale = currentScale();
  stage.x -= dx / (stage.width * scale);
  stage.y -= dy / (stage.height * scale);
  layout();
}

// The place of a point of the screen as shares of the picture.
export function shareAt(clientX, clientY) {
  const pane = stage.mode === "sides" && isInside(panes.left, clientX, clientY) ? panes.left : panes.main;
  const box = pane.querySelector(".layer").getBoundingClientRect();
  return { x: (clientX - box.left) / box.width, y: (clientY - box.top) / box.height };
}

function isInside(element, x, y) {
  const box = element.getBoundingClientRect();
  return x >= box.left && x < box.right && y >= box.top && y < box.bottom;
}

// The colour of the result at shares of the picture, as #rrggbb.
export function colorAt(image, { x, y }) {
  const canvas = new OffscreenCanvas(1, 1), context = canvas.getContext("2d");
  const side = Math.max(1, Math.round(image.naturalWidth / 150));
  const left = Math.round(x * image.naturalWidth - side / 2), top = Math.round(y * image.naturalHeight - side / 2);
  context.drawImage(image, Math.max(0, left), Math.max(0, top), side, side, 0, 0, 1, 1);
  const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
  return `#${[red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

export const resultColorAt = (share) => colorAt(afterImage, share);

// ---- pointers ----------------------------------------------------------------------------------

const pointers = new Map();
let gesture = null, lastTap = 0;

stageElement.addEventListener("pointerdown", (event) => {
  if (event.target.closest("#tools, .step, #note") || event.button) return;
  const dot = event.target.closest(".dot");
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  stageElement.setPointerCapture(event.pointerId);
  if (pointers.size === 2) {
    gesture = { kind: "pinch", distance: spread() };
    return;
  }
  const isNearLine = stage.mode === "slider" && !stage.isPlacing
    && Math.abs(event.clientX - divider.getBoundingClientRect().left) < 28;
  if (dot) gesture = { kind: "dot", index: Number(dot.dataset.index), isMoved: false };
  else if (event.target === divider || isNearLine) gesture = { kind: "split" };
  else gesture = { kind: "pan", x: event.clientX, y: event.clientY, isMoved: false };
  if (dot) emit("hint-chosen", gesture.index);
  event.preventDefault();
});

stageElement.addEventListener("pointermove", (event) => {
  const former = pointers.get(event.pointerId);
  if (!former || !gesture) return;
  const dx = event.clientX - former.x, dy = event.clientY - former.y;
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (gesture.kind === "pinch" && pointers.size === 2) {
    const distance = spread(), [one, two] = [...pointers.values()];
    zoomBy(distance / gesture.distance, (one.x + two.x) / 2, (one.y + two.y) / 2);
    pan(dx / 2, dy / 2);
    gesture.distance = distance;
  } else if (gesture.kind === "split") {
    const box = panes.main.querySelector(".layer").getBoundingClientRect(), pane = panes.main.getBoundingClientRect();
    const left = Math.max(box.left, pane.left), right = Math.min(box.right, pane.right);
    setSplit((event.clientX - left) / (right - left));
  } else if (gesture.kind === "dot") {
    gesture.isMoved = true;
    emit("hint-moved", { index: gesture.index, share: shareAt(event.clientX, event.clientY) });
  } else if (gesture.kind === "pan") {
    gesture.isMoved ||= Math.hypot(event.clientX - gesture.x, event.clientY - gesture.y) > 5;
    if (gesture.isMoved && stage.scale) pan(dx, dy);
  }
});

function endPointer(event) {
  if (!pointers.delete(event.pointerId) || !gesture) return;
  const ended = gesture;
  if (pointers.size) return;
  gesture = null;
  if (event.type === "pointercancel") return;
  if (ended.kind === "dot" && ended.isMoved) emit("hint-dropped", ended.index);
  if (ended.kind !== "pan") return;
  const dx = event.clientX - ended.x, dy = event.clientY - ended.y;
  if (ended.isMoved) {
    if (!stage.scale && event.pointerType === "touch" && Math.abs(dx) > 60 && Math.abs(dx) > 2 * Math.abs(dy)) {
      emit("swiped", dx < 0 ? 1 : -1);
    }
    return;
  }
  const share = shareAt(event.clientX, event.clientY);
  const isOnPicture = share.x >= 0 && share.x <= 1 && share.y >= 0 && share.y <= 1;
  if (stage.isPlacing) {
    if (isOnPicture) emit("placed", share);
    return;
  }
  if (event.timeStamp - lastTap < 350) toggleZoom(event.clientX, event.clientY);
  lastTap = event.timeStamp;
}
stageElement.addEventListener("pointerup", endPointer);
stageElement.addEventListener("pointercancel", endPointer);

function spread() {
  const [one, two] = [...pointers.values()];
  return Math.max(1, Math.hypot(one.x - two.x, one.y - two.y));
}

stageElement.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomBy(WHEEL_FACTOR ** -event.deltaY, event.clientX, event.clientY);
}, { passive: false });

const holdButton = byId("hold");
holdButton.addEventListener("pointerdown", (event) => { event.preventDefault(); hold(true); });
for (const kind of ["pointerup", "pointerleave", "pointercancel"]) holdButton.addEventListener(kind, () => hold(false));
byId("zoom").addEventListener("click", () => toggleZoom());
for (const button of stageElement.querySelectorAll("[data-mode]")) {
  button.addEventListener("click", () => setMode(button.dataset.mode));
}
divider.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -0.05, ArrowRight: 0.05 };
  if (!steps[event.key]) return;
  event.preventDefault();
  event.stopPropagation();
  setSplit(stage.split + steps[event.key]);
});
try { stage.mode = localStorage.getItem("mode") || "result"; } catch { /* storage is not permitted */ }
