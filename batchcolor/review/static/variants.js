// Variants of a look: models, vividness, strengths and references, computed while they are shown.

import { renderPreview } from "./api.js";
import { pickPicture } from "./picker.js";
import { baseName, emit, lookOf, store } from "./store.js";

const byId = (id) => document.getElementById(id);
const box = byId("variants"), strength = byId("strength"), output = byId("strength-value");
const SIDE = 320, PARALLEL = 2;
let running = null, urls = [];

// The looks that are offered, each a complete look without the state and the hints.
export function listVariants(item) {
  const job = store.job, variants = [{ label: "As the job", look: {} }];
  const own = store.models.find((model) => model.name === job.model);
  if (own?.options.includes("vividness")) {
    for (const [label, value] of [["Vivid", "1"], ["Calm", "0"]]) {
      if (value !== job.options.vividness) variants.push({ label, look: { options: { vividness: value } } });
    }
  }
  variants.push({ label: "Stronger", look: { strength: Math.min(2, round(job.strength * 1.4)) } });
  variants.push({ label: "Weaker", look: { strength: round(job.strength * 0.6) } });
  for (const model of store.models) {
    if (model.name !== job.model && !store.unusable.has(model.name)) variants.push({ label: model.name, look: { model: model.name }, title: model.summary });
  }
  const reference = item.decision.reference_id || lastReference();
  if (reference && reference !== item.id && store.items.has(reference)) {
    const name = baseName(store.items.get(reference));
    variants.push({ label: `Like ${name}`, look: { reference_id: reference } });
  }
  return variants;
}

const round = (value) => Math.round(value * 100) / 100;
let latestReference = "";
const lastReference = () => latestReference;

const sameLook = (one, two) => JSON.stringify(sorted(one)) === JSON.stringify(sorted(two));

function sorted(look) {
  const { reference, ...kept } = look;
  if (reference && !look.reference_id) kept.reference = reference;
  return Object.entries(kept).sort(([a], [b]) => a < b ? -1 : 1);
}

export function show(item) {
  running?.abort();
  running = new AbortController();
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
  const variants = listVariants(item), own = lookOf(item.decision);
  box.replaceChildren(...variants.map((variant, index) => makeButton(variant, index, sameLook(variant.look, own))));
  showStrength(item);
  byId("reference").disabled = store.isLocked;
  compute(item, variants, running.signal);
}

// Marks the look that is chosen, without computing anything.
export function mark(item) {
  const variants = listVariants(item), own = lookOf(item.decision);
  [...box.children].forEach((button, index) =>
    button.setAttribute("aria-pressed", String(Boolean(variants[index]) && sameLook(variants[index].look, own))));
  showStrength(item);
}

function showStrength(item) {
  const value = item.decision.strength ?? store.job.strength;
  strength.value = value;
  output.textContent = Number(value).toFixed(2);
  strength.disabled = store.isLocked || item.decision.state === "rejected";
}

function makeButton(variant, index, isChosen) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "variant";
  button.setAttribute("aria-pressed", String(isChosen));
  button.disabled = store.isLocked;
  button.title = describe(variant, index);
  const picture = document.createElement("span");
  picture.className = "picture";
  const label = document.createElement("span");
  label.textContent = variant.label;
  button.append(picture, label);
  button.addEventListener("click", () => choose([...box.children].indexOf(button)));
  return button;
}

const describe = (variant, index) => `${variant.title || variant.label} (${index + 1})`;

export function choose(index) {
  const item = store.items.get(byId("single-view").dataset.id);
  const variant = listVariants(item)[index];
  if (variant) emit("look", variant.look);
}

async function compute(item, variants, signal) {
  const waiting = variants.map((variant, index) => [variant, box.children[index]]);
  const work = async () => {
    for (let next = waiting.shift(); next && !signal.aborted; next = waiting.shift()) {
      await fill(item, ...next, signal);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
}

async function fill(item, variant, button, signal) {
  try {
    const { url } = await renderPreview(item.id, { ...variant.look, hints: item.decision.hints }, SIDE, signal);
    urls.push(url);
    const image = new Image();
    image.alt = "";
    image.src = url;
    button.querySelector(".picture").replaceChildren(image);
  } catch (error) {
    if (error.isModel && variant.look.model) return leaveOut(item, variant.look.model, button);
    if (error.name !== "AbortError") button.title = error.message;
    button.classList.add("broken");
  }
}

// A model that cannot be loaded as it is, such as one that needs a file, is no variant.
function leaveOut(item, model, button) {
  store.unusable.add(model);
  button.remove();
  listVariants(item).forEach((variant, index) => {
    if (box.children[index]) box.children[index].title = describe(variant, index);
  });
}

let timer = 0;
strength.addEventListener("input", () => {
  output.textContent = Number(strength.value).toFixed(2);
  clearTimeout(timer);
  timer = setTimeout(() => emit("try", { strength: Number(strength.value) }), 40);
});
strength.addEventListener("change", () => {
  clearTimeout(timer);
  const value = Number(strength.value);
  const { sidecar } = store.items.get(byId("single-view").dataset.id);
  emit("change", { strength: value === store.job.strength && !sidecar ? null : value });
});

export async function chooseReference() {
  const id = await pickPicture();
  if (!id) return;
  latestReference = id;
  emit("change", { reference_id: id, reference: null });
  emit("variants");
}
byId("reference").addEventListener("click", chooseReference);
