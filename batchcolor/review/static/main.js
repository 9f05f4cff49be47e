// The frame of the page: top bar, filters, selection, keys, dialogs.

import * as grid from "./grid.js";
import * as hints from "./hints.js";
import * as shots from "./shots.js";
import * as single from "./single.js";
import * as stageTools from "./stage.js";
import { stage } from "./stage.js";
import {
  FILTERS, arrange, canRedo, canUndo, emit, folders, hasLook, isReviewed, listen, load, lookOf, on, redo,
  stopWriting, store, undo, whenSaved, write,
} from "./store.js";
import * as variants from "./variants.js";

const byId = (id) => document.getElementById(id);
const isSingle = () => document.body.dataset.view === "single";

// ---- top bar ------------------------------------------------------------------------------------

function showTop() {
  document.title = `${store.title} – batchcolor review`;
  byId("title").textContent = store.title;
  byId("title").title = store.output;
  const items = [...store.items.values()], reviewed = items.filter(isReviewed).length;
  const bar = byId("reviewed");
  bar.querySelector("i").style.width = `${items.length ? 100 * reviewed / items.length : 0}%`;
  bar.querySelector("span").textContent = `${reviewed} of ${items.length} reviewed`;
  bar.setAttribute("aria-valuemax", String(items.length));
  bar.setAttribute("aria-valuenow", String(reviewed));
  const count = store.pending.size, button = byId("write");
  const changes = matchMedia("(max-width: 700px)").matches ? "" : count === 1 ? " change" : " changes";
  button.textContent = count ? `Write ${count}${changes}` : "No changes to write";
  button.disabled = !count || store.isLocked || store.write.running;
  byId("undo").disabled = !canUndo() || store.isLocked;
  byId("redo").disabled = !canRedo() || store.isLocked;
  showWriting();
  showBanner();
}

function showWriting() {
  const { running, done, failed, total, current } = store.write;
  byId("writing").hidden = !running;
  byId("write").hidden = Boolean(running);
  if (running) {
    byId("writing").firstChild.textContent = `Writing ${Math.min(total, done + failed + 1)} of ${total}`;
    byId("writing").title = current || "";
  }
}

let isConnected = true;

function showBanner() {
  const banner = byId("banner");
  const lines = [];
  if (!isConnected) lines.push("The server does not answer. Decisions cannot be saved until it does.");
  if (store.isLocked) lines.push("A job is running on this folder: you can look, but decisions wait for its end.");
  for (const fault of (store.faults || []).slice(0, 3)) lines.push(fault);
  banner.textContent = lines.join(" ");
  banner.hidden = !lines.length;
}

function showFilters() {
  const items = [...store.items.values()];
  byId("filters").replaceChildren(...Object.entries(FILTERS).map(([key, [label, isShown]]) => {
    const button = document.createElement("button");
    const count = items.filter(isShown).length;
    button.type = "button";
    button.textContent = label;
    const number = document.createElement("b");
    number.textContent = count;
    button.append(number);
    button.setAttribute("aria-pressed", String(store.filter === key));
    button.hidden = !count && key !== store.filter && !["all", "unreviewed"].includes(key);
    button.addEventListener("click", () => {
      store.filter = key;
      arrange();
      showFilters();
    });
    return button;
  }));
  const names = folders(), select = byId("folder");
  byId("folder-label").hidden = names.length < 2;
  select.replaceChildren(...[["", "All folders"], ...names.filter(Boolean).map((name) => [name, name])].map(
    ([value, text]) => new Option(text, value, false, value === store.folder)));
}

function showSelection() {
  const count = store.selected.size;
  byId("selection").hidden = !count;
  byId("selection").querySelector("strong").textContent = count === 1 ? "1 selected" : `${count} selected`;
  byId("selection").querySelector("[data-act=paste]").hidden = !store.copied;
  for (const button of byId("selection").querySelectorAll("button")) {
    button.disabled = store.isLocked && button.dataset.act !== "clear";
  }
}

function selectAll() {
  store.order.forEach((id) => store.selected.add(id));
  emit("selected");
}

// ---- actions -----------------------------------------------------------------------------------

function act({ act: name, ids }) {
  if (name === "clear") {
    store.selected.clear();
    emit("selected");
  } else if (name === "paste") {
    if (store.copied) single.paste(ids, store.copied);
  } else {
    const isStepping = isSingle() && name !== "reset" && ids.length === 1;
    const index = isStepping ? store.order.indexOf(ids[0]) : -1;
    single.act(name, ids);
    if (!isSingle() && store.selected.size && !store.isLocked) {
      store.selected.clear();
      emit("selected");
    }
    if (isStepping && store.order[index + 1]) single.step(1);
    else if (isStepping) toast("That was the last picture of this list");
  }
}

const targets = () => isSingle() ? [single.currentId()]
  : store.selected.size ? [...store.selected] : [store.order[grid.focused]].filter(Boolean);

function travel(id) {
  if (id && isSingle() && id !== single.currentId()) single.open(id);
}

async function startWriting() {
  try {
    await write();
  } catch (error) {
    toast(error.message);
  }
}

let wasWriting = false;
function followWriting() {
  const { running, done, failed, message, failures } = store.write;
  if (wasWriting && !running) {
    toast(message || (failed ? `${done} written, ${failed} failed` : `${done} written`));
    if (failures?.length) {
      byId("report").querySelector("ul").replaceChildren(...failures.map(({ name, reason }) => {
        const entry = document.createElement("li");
        entry.textContent = `${name}: ${reason}`;
        return entry;
      }));
      byId("report").showModal();
    }
  }
  wasWriting = running;
  showTop();
}

let toastTimer = 0;
function toast(text) {
  const box = byId("toast");
  box.textContent = text;
  box.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => box.classList.remove("shown"), 4000);
}

// ---- keys --------------------------------------------------------------------------------------

const both = "Everywhere", inGrid = "All pictures", inSingle = "One picture";
const KEYS = [
  [both, "A", "Approve (and go on to the next one)", () => act({ act: "approve", ids: targets() })],
  [both, "R", "Keep grey (and go on to the next one)", () => act({ act: "reject", ids: targets() })],
  [both, "0", "Reset the decision", () => act({ act: "reset", ids: targets() })],
  [both, "U", "Undo (also Ctrl+Z)", () => travel(undo())],
  [both, "Y", "Redo (also Ctrl+Shift+Z)", () => travel(redo())],
  [both, "C", "Copy the look: model, strength, options, reference", copyLook],
  [both, "P", "Paste the look", () => store.copied && single.paste(targets(), store.copied)],
  [both, "W", "Write changes", () => byId("write").disabled || startWriting()],
  [both, "?", "Show these keys", () => byId("help").showModal()],
  [inGrid, "Enter", "Open", () => targets()[0] && single.open(store.order[grid.focused])],
  [inGrid, "X", "Select (also Space)", () => store.order[grid.focused] && grid.toggle(store.order[grid.focused])],
  [inGrid, "Ctrl+A", "Select all that are shown", null],
  [inGrid, "Escape", "Clear the selection", () => act({ act: "clear" })],
  [inGrid, "← → ↑ ↓", "Move; with Shift: select", null],
  [inSingle, "← →", "Previous, next (also J, K)", null],
  [inSingle, "G", "All pictures (also Escape)", () => single.close()],
  [inSingle, "B", "Hold: the original (also Space)", null],
  [inSingle, "S", "Slider", () => stageTools.setMode(stage.mode === "slider" ? "result" : "slider")],
  [inSingle, "D", "Side by side", () => stageTools.setMode(stage.mode === "sides" ? "result" : "sides")],
  [inSingle, "Z", "100 % and back", () => stageTools.toggleZoom()],
  [inSingle, "+", "Larger; − smaller; drag or Alt+arrows to move", () => stageTools.zoomBy(1.25)],
  [inSingle, "-", "", () => stageTools.zoomBy(0.8)],
  [inSingle, "H", "Correct a colour: place hints", () => hints.togglePlacing()],
  [inSingle, "E", "Pick the colour of a hint from a picture", () => hints.useEyedropper()],
  [inSingle, "Delete", "Remove the hint", () => hints.removeHint()],
  [inSingle, "1 … 9", "Choose a variant", null],
  [inSingle, "L", "Colours like another picture", () => store.isLocked || variants.chooseReference()],
  [inSingle, "V", "Film: preview its first seconds, or those from the chosen shot on", () => single.showClip()],
  [inSingle, "]", "Film: next shot; [ previous", () => shots.step(1)],
  [inSingle, "[", "", () => shots.step(-1)],
  [inSingle, "F", "Use this look for its folder", () => byId("apply-folder").disabled || single.applyTo("folder")],
];
const ALIASES = { " ": "X", Backspace: "Delete", "=": "+", "−": "-" };

function copyLook() {
  const item = store.items.get(targets()[0]);
  if (!item) return;
  store.copied = lookOf(item.decision);
  showSelection();
  toast(hasLook(item.decision) ? "Look copied: P pastes it" : "The look of the job copied: P pastes it");
}

function showKeys() {
  byId("keys").replaceChildren(...[both, inGrid, inSingle].map((place) => {
    const section = document.createElement("section"), heading = document.createElement("h3");
    heading.textContent = place;
    const list = document.createElement("dl");
    for (const [where, key, meaning] of KEYS) {
      if (where !== place || !meaning) continue;
      const term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = key;
      text.textContent = meaning;
      list.append(term, text);
    }
    section.append(heading, list);
    return section;
  }));
}

let isHandling = Promise.resolve();
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || isTyping(event)) return;
  const isKnown = isHandled(event);
  if (!isKnown) return;
  event.preventDefault();
  if (event.repeat && !isMoving(event)) return;
  // A decision is on the disk before the next key does anything.
  isHandling = isHandling.then(whenSaved).then(() => handle(event)).catch((error) => toast(error.message));
});
document.addEventListener("keyup", (event) => {
  if (isSingle() && ["b", "B", " "].includes(event.key)) isHandling = isHandling.then(() => stageTools.hold(false));
});

function isTyping(event) {
  const { target } = event;
  return target.matches?.("select, textarea, input:not([type=range])")
    || (target.matches?.("input[type=range]") && event.key.startsWith("Arrow"))
    || (target.matches?.("button, summary, a") && ["Enter", " "].includes(event.key));
}

const isMoving = (event) => event.key.startsWith("Arrow") || event.key.startsWith("Page") || "+-jkJK".includes(event.key);

function find(event) {
  const key = ALIASES[event.key] || (event.key.length === 1 ? event.key.toUpperCase() : event.key);
  const place = isSingle() ? inSingle : inGrid;
  return KEYS.find(([where, name, , run]) => run && name === key && (where === both || where === place));
}

function isHandled(event) {
  const isCommand = event.ctrlKey || event.metaKey;
  if (isCommand) return ["z", "Z", "y"].includes(event.key) || (event.key === "a" && !isSingle());
  if (event.altKey) return isSingle() && event.key.startsWith("Arrow");
  if (/^(Arrow|Page|Home|End)/.test(event.key)) return !isSingle() || /Left|Right/.test(event.key);
  if (isSingle() && /^[1-9bBjJkK ]$|^(Escape|Enter)$/.test(event.key)) return true;
  return Boolean(find(event));
}

function handle(event) {
  const { key } = event;
  if (event.ctrlKey || event.metaKey) {
    if (key === "a") selectAll();
    else travel(key === "z" ? undo() : redo());
  } else if (!isSingle()) {
    if (!grid.moveFocus(key, event.shiftKey)) find(event)?.[3]();
  } else if (event.altKey) {
    const steps = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
    stageTools.pan(...steps[key]);
  } else if (key === "ArrowLeft" || key === "k" || key === "K") single.step(-1);
  else if (key === "ArrowRight" || key === "j" || key === "J") single.step(1);
  else if (key === "b" || key === "B" || key === " ") stageTools.hold(true);
  else if (/^[1-9]$/.test(key)) variants.choose(Number(key) - 1);
  else if (key === "Escape" || key === "Enter") {
    if (stage.isPlacing) hints.togglePlacing(false);
    else if (key === "Escape") single.close();
  } else find(event)?.[3]();
}

// ---- start -------------------------------------------------------------------------------------

on("act", act);
on("open", (id) => single.open(id));
on("toast", toast);
on("error", toast);
on("selected", showSelection);
on("locked", () => { showTop(); showSelection(); });
on("write", followWriting);
on("connected", (isOpen) => { isConnected = isOpen; showBanner(); });
on("saving", (count) => { byId("saved").textContent = count ? "Saving…" : "Saved"; });
for (const kind of ["loaded", "decided", "saved"]) on(kind, () => { showTop(); showFilters(); showSelection(); });

byId("order").addEventListener("change", (event) => { store.sort = event.target.value; arrange(); });
byId("folder").addEventListener("change", (event) => { store.folder = event.target.value; arrange(); });
byId("select-all").addEventListener("click", selectAll);
byId("undo").addEventListener("click", () => travel(undo()));
byId("redo").addEventListener("click", () => travel(redo()));
byId("write").addEventListener("click", startWriting);
byId("stop").addEventListener("click", () => stopWriting());
byId("help-button").addEventListener("click", () => byId("help").showModal());
byId("selection").addEventListener("click", (event) => {
  const name = event.target.dataset?.act;
  if (name) act({ act: name, ids: [...store.selected] });
});
addEventListener("beforeunload", (event) => {
  if (byId("saved").textContent === "Saving…") event.preventDefault();
});

showKeys();
load().then(() => {
  listen();
  const id = location.hash.slice(1);
  if (store.items.has(id)) single.open(id);
  else grid.showGrid(store.order[0]);
}).catch((error) => {
  byId("banner").textContent = error.message;
  byId("banner").hidden = false;
});
