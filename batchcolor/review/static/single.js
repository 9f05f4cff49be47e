// One picture: its decision, preview, facts and neighbours.

import { getJson, pictureUrl, renderClip, renderPreview } from "./api.js";
import { describeState, showGrid } from "./grid.js";
import * as hintTools from "./hints.js";
import * as shots from "./shots.js";
import * as stageTools from "./stage.js";
import { stage } from "./stage.js";
import { LOOK, decide, emit, folderOf, hasLook, lookOf, on, store } from "./store.js";
import * as variants from "./variants.js";

const byId = (id) => document.getElementById(id);
const view = byId("single-view"), strip = byId("strip");
const NEIGHBOURS = 12, PREFETCHED = 2;
let shownId = "", previewing = null;
const sizes = new Map();

export const currentId = () => (view.hidden ? "" : shownId);
const current = () => store.items.get(shownId);

// ---- opening ---------------------------------------------------------------------------------

export function open(id, { isReload = false } = {}) {
  const item = store.items.get(id);
  if (!item) return;
  const isOther = id !== shownId;
  shownId = id;
  view.dataset.id = id;
  document.body.dataset.view = "single";
  view.hidden = false;
  byId("grid-view").hidden = true;
  if (isOther) {
    stage.isPlacing = false;
    stage.selectedHint = -1;
  }
  location.replace(`#${id}`);
  shots.show(item);
  stage.shot = shots.chosenShot();
  stageTools.open(item, sizes.get(id));
  showPicture();
  loadSize(item);
  refresh();
  if (isOther || isReload) variants.show(item);
  prefetch();
}

async function loadSize(item) {
  if (!sizes.has(item.id)) {
    try {
      const { width, height } = await getJson(`/api/items/${item.id}/size`);
      sizes.set(item.id, { width, height });
    } catch (error) {
      if (item.id === shownId) stageTools.setNote(`The source cannot be read: ${error.message}`);
      return;
    }
  }
  if (item.id === shownId) {
    stageTools.setSize(sizes.get(item.id));
    hintTools.show();
  }
}

export function close() {
  view.hidden = true;
  previewing?.abort();
  stage.isPlacing = false;
  document.body.dataset.view = "grid";
  byId("grid-view").hidden = false;
  history.replaceState(null, "", " ");
  showGrid(shownId);
  view.dataset.id = "";
}

export function step(by) {
  const index = store.order.indexOf(shownId);
  const next = store.order[index < 0 ? 0 : index + by];
  if (next) open(next);
  else emit("toast", by > 0 ? "This is the last picture of this list" : "This is the first picture of this list");
}

function prefetch() {
  const index = store.order.indexOf(shownId), side = stageTools.screenSide();
  for (const id of store.order.slice(index + 1, index + 1 + PREFETCHED)) {
    const item = store.items.get(id);
    for (const kind of item.state === "done" ? ["after", "before"] : ["before"]) {
      new Image().src = pictureUrl(item, kind, side);
    }
  }
}

// ---- the picture -------------------------------------------------------------------------------

const hasResult = (item) => item.state === "done" || item.state === "changed";

// Shows the written result, or a preview where it is not as decided.
function showPicture(tried) {
  const item = current();
  previewing?.abort();
  const shot = shots.chosenShot();
  if (!tried && shot === null && hasResult(item) && !store.pending.has(item.id) && !isUnsaved(item)) {
    stageTools.showResult();
    noted = { id: "", notes: [] };
    return undefined;
  }
  if (!stage.item || !document.querySelector("#pane .after").getAttribute("src")) stageTools.showNothing();
  previewing = new AbortController();
  const { signal } = previewing, id = item.id;
  const decision = { ...item.decision, ...tried };
  return renderPreview(id, tidy(decision), stageTools.screenSide(), signal, shot).then(({ url, notes }) => {
    if (id !== shownId || signal.aborted) return URL.revokeObjectURL(url);
    stageTools.showPreview(url);
    return showNote(item, notes);
  }).catch((error) => {
    if (error.name === "AbortError" || id !== shownId) return;
    if (!hasResult(item)) stageTools.showNothing();
    stageTools.setNote(`No preview: ${error.message}`);
  });
}

// While a colour or strength is dragged: one preview at a time, then the latest value.
let nextTry = null, isTrying = false;
async function tryNext() {
  isTrying = true;
  while (nextTry && !view.hidden) {
    const patch = nextTry;
    nextTry = null;
    await showPicture(patch);
  }
  isTrying = false;
}

const unsaved = new Set();
const isUnsaved = (item) => unsaved.has(item.id);
const tidy = (decision) => Object.fromEntries(
  Object.entries(decision).filter(([, value]) => value !== null && value !== undefined));

// ---- the panel --------------------------------------------------------------------------------

const NOTES = {
  failed: (item) => `Not coloured: ${item.reason || "failed"}`,
  missing: () => "The result was deleted; this is a preview. Run the job again to bring it back.",
  changed: () => "The result was changed by another program after it was written.",
};

// What the last preview says about its decision.
let noted = { id: "", notes: [] };

function showNote(item, notes) {
  noted = { id: item.id, notes };
  const own = NOTES[item.state]?.(item) || (item.outcome === "copied" ? "In colour already: the result is a copy." : "");
  const sentences = notes.map((note) => `${note[0].toUpperCase()}${note.slice(1)}.`);
  stageTools.setNote([own, ...sentences].filter(Boolean).join(" "));
}

export function refresh() {
  const item = current();
  if (!item || view.hidden) return;
  byId("name").textContent = item.name;
  const facts = [];
  const index = store.order.indexOf(item.id);
  if (index >= 0) facts.push(`${index + 1} of ${store.order.length}`);
  if (item.doubt) facts.push(`doubt ${item.doubt.toFixed(1)}`);
  facts.push(describeState(item) || "not reviewed");
  if (item.sidecar) facts.push("decided beside the picture, too");
  byId("facts").textContent = facts.join(" · ");
  byId("facts").title = (item.notes || []).join("\n");
  showNote(item, item.id === noted.id ? noted.notes : []);
  for (const button of view.querySelectorAll("[data-act]")) {
    button.disabled = store.isLocked;
    const state = { approve: "approved", reject: "rejected" }[button.dataset.act];
    if (state) button.setAttribute("aria-pressed", String(item.decision.state === state));
  }
  shots.mark(item);
  byId("hint-tools").hidden = Boolean(item.film);
  const folder = folderOf(item), others = folderItems(item).length;
  byId("apply-folder").textContent = folder ? `Its folder (${others})` : `The top folder (${others})`;
  byId("apply-folder").disabled = store.isLocked || !others || !hasLook(item.decision);
  byId("apply-selection").textContent = `The selection (${store.selected.size})`;
  byId("apply-selection").disabled = store.isLocked || !store.selected.size || !hasLook(item.decision);
  byId("previous").disabled = index <= 0;
  byId("next").disabled = index < 0 || index >= store.order.length - 1;
  hintTools.show();
  variants.mark(item);
  showStrip(index);
}

function showStrip(index) {
  if (index < 0) return strip.replaceChildren();
  const first = Math.max(0, index - NEIGHBOURS);
  const ids = store.order.slice(first, index + NEIGHBOURS + 1);
  const known = new Map([...strip.children].map((child) => [child.dataset.id, child]));
  strip.replaceChildren(...ids.map((id) => {
    const item = store.items.get(id);
    const button = known.get(id) || makeNeighbour(id);
    const image = button.firstChild, url = pictureUrl(item, "thumb");
    if (image.getAttribute("src") !== url) image.src = url;
    button.dataset.state = item.decision.state || "";
    button.setAttribute("aria-current", String(id === shownId));
    button.title = item.name;
    return button;
  }));
  const chosen = strip.querySelector("[aria-current=true]");
  if (chosen) strip.scrollLeft = chosen.offsetLeft - (strip.clientWidth - chosen.offsetWidth) / 2;
  return undefined;
}

function makeNeighbour(id) {
  const button = document.createElement("button");
  button.type = "button";
  button.tabIndex = -1;
  button.dataset.id = id;
  const image = new Image();
  image.alt = "";
  image.addEventListener("error", () => { image.hidden = true; });
  image.addEventListener("load", () => { image.hidden = false; });
  button.append(image);
  button.addEventListener("click", () => open(id));
  return button;
}

// ---- decisions ---------------------------------------------------------------------------------

export function change(patch) {
  const item = current();
  if (!item || store.isLocked) return refuse();
  nextTry = null;
  const decision = { ...item.decision, ...patch };
  if (decision.state === "rejected") delete decision.state;
  unsaved.add(item.id);
  decide([[item.id, decision]]);
  return undefined;
}

// Replaces model, strength, options and reference; state and hints stay.
export function setLook(look) {
  const cleared = Object.fromEntries(LOOK.map((key) => [key, null]));
  change({ ...cleared, ...look });
}

function refuse() {
  emit("error", "A job is running on this folder: decisions wait for its end.");
}

export function act(name, ids) {
  if (store.isLocked) return refuse();
  const changes = ids.map((id) => {
    const decision = { ...store.items.get(id).decision };
    if (name === "reset") return [id, {}];
    return [id, { ...decision, state: name === "approve" ? "approved" : "rejected" }];
  });
  ids.forEach((id) => unsaved.add(id));
  return decide(changes);
}

function folderItems(item) {
  return [...store.items.values()].filter((each) => folderOf(each) === folderOf(item) && each.id !== item.id);
}

export function applyTo(kind) {
  const item = current(), look = lookOf(item.decision);
  const items = kind === "folder" ? folderItems(item) : [...store.selected].map((id) => store.items.get(id));
  paste(items.filter((each) => each.id !== item.id).map((each) => each.id), look);
}

export function paste(ids, look) {
  if (store.isLocked) return refuse();
  const changes = ids.map((id) => {
    const kept = { ...store.items.get(id).decision };
    LOOK.forEach((key) => delete kept[key]);
    return [id, { ...kept, ...look }];
  });
  if (!changes.length) return undefined;
  emit("toast", changes.length === 1 ? "Look used for 1 picture" : `Look used for ${changes.length} pictures`);
  return decide(changes);
}

// Shows seconds of a film with its look, from the chosen shot on; an ordinary job makes them.
export async function showClip() {
  const item = current(), shot = shots.chosenShot(), button = byId("clip"), view = byId("clip-view"), video = view.querySelector("video");
  if (!item?.film || button.disabled) return;
  button.disabled = true;
  button.textContent = "Making 3 seconds…";
  try {
    const url = await renderClip(item.id, item.decision, shot);
    view.querySelector("h2").textContent = shot === null ? "The first seconds" : `From shot ${shot + 1} on`;
    video.src = url;
    view.addEventListener("close", () => {
      video.removeAttribute("src");
      video.load();
      URL.revokeObjectURL(url);
    }, { once: true });
    view.showModal();
    video.play().catch(() => {});
  } catch (error) {
    emit("error", `No preview: ${error.message}`);
  } finally {
    button.disabled = false;
    button.textContent = "Preview 3 seconds";
  }
}
byId("clip").addEventListener("click", showClip);

// ---- events ------------------------------------------------------------------------------------

on("change", change);
on("look", setLook);
on("try", (patch) => {
  nextTry = patch;
  if (!isTrying) tryNext();
});
on("variants", () => variants.show(current()));
on("shot", (shot) => {
  nextTry = null;
  stageTools.setShot(shot);
  showPicture();
});
on("swiped", step);
on("zoomed", () => showPicture());
on("decided", ({ ids }) => {
  if (view.hidden || !ids.includes(shownId)) return;
  refresh();
  showPicture();
});
on("saved", ({ ids }) => {
  ids.forEach((id) => unsaved.delete(id));
  if (view.hidden || !ids.includes(shownId)) return;
  refresh();
  if (shots.chosenShot() === null && hasResult(current()) && !store.pending.has(shownId)) stageTools.showResult();
});
on("loaded", () => {
  if (view.hidden) return;
  if (!current()) close();
  else open(shownId, { isReload: true });
});
on("arranged", refresh);
on("locked", refresh);

byId("back").addEventListener("click", close);
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
for (const button of view.querySelectorAll("[data-apply]")) {
  button.addEventListener("click", () => applyTo(button.dataset.apply));
}
for (const button of view.querySelectorAll("#panel [data-act]")) {
  button.addEventListener("click", () => emit("act", { act: button.dataset.act, ids: [shownId] }));
}
