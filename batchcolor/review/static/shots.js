// The shots of a film: a list with one frame of each, and what is decided about the chosen one.

import { getJson, shotUrl } from "./api.js";
import { pickPicture } from "./picker.js";
import { emit, on, store } from "./store.js";

const byId = (id) => document.getElementById(id);
const tools = byId("film-tools"), box = byId("shots"), text = byId("shots-text"), editor = byId("shot-editor");
const strength = byId("shot-strength"), output = byId("shot-strength-value");
const THUMB_SIDE = 200, MIN_LISTED = 2;
let item = null, found = null, chosen = -1;

// The number of the chosen shot from 0; null for the whole film.
export const chosenShot = () => (chosen < 0 ? null : chosen);

export async function show(shown) {
  if (item?.id !== shown.id) {
    found = null;
    chosen = -1;
    box.replaceChildren();
  }
  item = shown;
  tools.hidden = !item.film;
  mark(item);
  if (!item.film || found) return;
  text.textContent = "Searching for shots…";
  try {
    const answer = await getJson(`/api/items/${shown.id}/shots`);
    if (item.id !== shown.id || answer.searching || found) return;
    found = answer;
    fill();
  } catch (error) {
    if (item.id === shown.id) text.textContent = `No list of shots: ${error.message}`;
  }
}

function fill() {
  const count = found.shots.length;
  if (count < MIN_LISTED) {
    text.textContent = "The film has one shot.";
    return;
  }
  text.textContent = found.complete ? `${count} shots. Choose one to change it alone.`
    : `The first ${count} shots. Choose one to change it alone.`;
  box.replaceChildren(makeChoice(-1), ...found.shots.map((shot, index) => makeChoice(index)));
  mark(item);
}

function makeChoice(index) {
  const button = document.createElement("button"), picture = document.createElement("span");
  button.type = "button";
  button.setAttribute("role", "radio");
  picture.className = "picture";
  if (index >= 0) {
    const image = new Image();
    image.loading = "lazy";
    image.alt = "";
    image.src = shotUrl(item, index, THUMB_SIDE);
    picture.append(image);
  } else picture.textContent = "All";
  const label = document.createElement("span");
  label.textContent = index < 0 ? "Film" : showTime(found.shots[index].time);
  button.append(picture, label);
  button.addEventListener("click", () => choose(index));
  return button;
}

function showTime(seconds) {
  const whole = Math.floor(seconds), pad = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

// ---- what is decided ------------------------------------------------------------------------------

const firstFrame = (index) => found.shots[index].frame;
const endFrame = (index) => found.shots[index + 1]?.frame ?? (found.complete ? Infinity : firstFrame(index) + 1);
const isWithin = (index) => (shot) => shot.frame >= firstFrame(index) && shot.frame < endFrame(index);
const isGrey = (decided) => decided?.state === "rejected";

function decidedAbout(index, decision = item.decision) {
  return (decision.shots || []).find((shot) => shot.frame === firstFrame(index))
    || (decision.shots || []).find(isWithin(index));
}

function describe(decided) {
  if (!decided) return "as the film";
  const parts = [];
  if (isGrey(decided)) parts.push("kept grey");
  if (decided.strength !== undefined && decided.strength !== null) parts.push(`strength ${decided.strength.toFixed(2)}`);
  if (decided.reference || decided.reference_id) parts.push("colours of another picture");
  return parts.join(", ") || "as the film";
}

// Shows what is chosen and decided, without a request.
export function mark(shown) {
  item = shown;
  [...box.children].forEach((button, position) => {
    const index = position - 1, decided = index < 0 ? null : decidedAbout(index);
    const name = index < 0 ? "Whole film" : `Shot ${index + 1} at ${showTime(found.shots[index].time)}, ${describe(decided)}`;
    button.setAttribute("aria-checked", String(index === chosen));
    button.setAttribute("aria-label", name);
    button.title = name;
    button.tabIndex = index === chosen ? 0 : -1;
    button.dataset.state = isGrey(decided) ? "grey" : decided ? "changed" : "";
  });
  editor.hidden = chosen < 0;
  byId("clip").title = chosen < 0 ? "The first seconds with this look (V)" : "From this shot on (V)";
  if (chosen < 0) return;
  const decided = decidedAbout(chosen);
  byId("shot-name").textContent = `Shot ${chosen + 1}: ${describe(decided)}`;
  showStrength(decided?.strength ?? item.decision.strength ?? store.job.strength);
  strength.disabled = store.isLocked || isGrey(decided);
  byId("shot-grey").setAttribute("aria-pressed", String(isGrey(decided)));
  byId("shot-reset").disabled = store.isLocked || !decided;
  for (const id of ["shot-grey", "shot-reference"]) byId(id).disabled = store.isLocked;
}

function showStrength(value) {
  strength.value = value;
  output.textContent = Number(value).toFixed(2);
}

// The shots of the decision with this change of the chosen one; null takes its decision back.
function patched(change) {
  const others = (item.decision.shots || []).filter((shot) => !isWithin(chosen)(shot));
  if (!change) return { shots: others };
  const { frame, ...own } = { ...decidedAbout(chosen), ...change };
  for (const [key, value] of Object.entries(own)) if (value === null || value === "none") delete own[key];
  const mine = Object.keys(own).length ? [{ ...own, frame: firstFrame(chosen) }] : [];
  return { shots: [...others, ...mine].sort((one, two) => one.frame - two.frame) };
}

const change = (values) => emit("change", patched(values));

// ---- choosing ---------------------------------------------------------------------------------------

function choose(index, { isFocused = false } = {}) {
  chosen = index;
  mark(item);
  const button = box.children[index + 1];
  button.scrollIntoView({ block: "nearest" });
  if (isFocused) button.focus();
  emit("shot", chosenShot());
}

export function step(by, options) {
  if (!box.children.length) return;
  choose(Math.min(found.shots.length - 1, Math.max(-1, chosen + by)), options);
}

box.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity }[event.key];
  if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  event.stopPropagation();
  step(by, { isFocused: true });
});

let timer = 0;
strength.addEventListener("input", () => {
  output.textContent = Number(strength.value).toFixed(2);
  clearTimeout(timer);
  timer = setTimeout(() => emit("try", patched({ strength: Number(strength.value) })), 40);
});
strength.addEventListener("change", () => {
  clearTimeout(timer);
  change({ strength: Number(strength.value) });
});
byId("shot-grey").addEventListener("click", () => change({ state: isGrey(decidedAbout(chosen)) ? null : "rejected" }));
byId("shot-reset").addEventListener("click", () => change(null));
byId("shot-reference").addEventListener("click", async () => {
  const shown = item.id, shot = chosen, id = await pickPicture();
  if (id && item.id === shown && chosen === shot) change({ reference_id: id, reference: null });
});
on("shots", (id) => { if (item?.id === id) show(item); });
