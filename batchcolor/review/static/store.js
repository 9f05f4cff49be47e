// What the page knows: items, decisions, order, selection, history. Every decision is saved at once.

import { client, getJson, postJson } from "./api.js";

export const store = {
  items: new Map(),
  order: [],
  filter: "all",
  sort: "doubt",
  folder: "",
  selected: new Set(),
  pending: new Set(),
  job: {},
  models: [],
  unusable: new Set(),
  isLocked: false,
  write: { running: false },
  copied: null,
};

const listeners = new Map();
const history = { past: [], future: [] };
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
let saving = Promise.resolve();
let waiting = 0;

export function on(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, []);
  listeners.get(kind).push(listener);
}

export function emit(kind, detail) {
  for (const listener of listeners.get(kind) || []) listener(detail);
}

// ---- reading ---------------------------------------------------------------------------------

export async function load() {
  const state = await getJson("/api/state");
  store.items = new Map(state.items.map((item) => [item.id, { ...item, decision: item.decision || {} }]));
  store.pending = new Set(state.pending);
  Object.assign(store, {
    title: state.title, output: state.output, job: state.job, models: state.models,
    isLocked: state.locked, write: state.write, faults: state.faults,
  });
  for (const id of store.selected) if (!store.items.has(id)) store.selected.delete(id);
  arrange();
  emit("loaded");
}

export function listen() {
  const source = new EventSource("/api/events");
  let wasClosed = false;
  source.addEventListener("open", () => {
    if (wasClosed) load();
    wasClosed = false;
    emit("connected", true);
  });
  source.addEventListener("error", () => {
    wasClosed = true;
    emit("connected", false);
  });
  const receive = (kind, handle) => source.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
  receive("reload", () => load());
  receive("shots", ({ id }) => emit("shots", id));
  receive("locked", ({ locked }) => { store.isLocked = locked; emit("locked"); });
  receive("write", (status) => { store.write = status; emit("write"); });
  receive("decisions", ({ client: sender, changes }) => {
    if (sender === client) return;
    take(changes);
    emit("decided", { ids: changes.map((change) => change.id), isRemote: true });
  });
}

function take(changes) {
  for (const { id, decision, pending } of changes) {
    const item = store.items.get(id);
    if (!item) continue;
    item.decision = decision;
    if (pending) store.pending.add(id); else store.pending.delete(id);
  }
}

// ---- order and filters -------------------------------------------------------------------------

export const FILTERS = {
  all: ["All", () => true],
  unreviewed: ["Unreviewed", (item) => !isReviewed(item)],
  approved: ["Approved", (item) => item.decision.state === "approved"],
  rejected: ["Kept grey", (item) => item.decision.state === "rejected"],
  corrected: ["Corrected", (item) => isCorrected(item.decision)],
  pending: ["To write", (item) => store.pending.has(item.id)],
  faults: ["Faults", (item) => item.state !== "done"],
};

export const isReviewed = (item) => ["approved", "rejected"].includes(item.decision.state);
export const folderOf = (item) => item.name.slice(0, Math.max(0, item.name.lastIndexOf("/")));
export const baseName = (item) => item.name.slice(item.name.lastIndexOf("/") + 1);
export const LOOK = ["model", "strength", "options", "reference", "reference_id"];
export const lookOf = (decision) => Object.fromEntries(
  LOOK.filter((key) => decision[key] !== undefined).map((key) => [key, decision[key]]));
export const hasLook = (decision) =>
  Object.keys(lookOf(decision)).length > 0 || (decision.hints || []).length > 0;
export const isCorrected = (decision) => hasLook(decision) || (decision.shots || []).length > 0;

export const compareNames = (a, b) => collator.compare(a.name, b.name);
const ORDERS = {
  name: compareNames,
  time: (a, b) => a.number - b.number,
  doubt: (a, b) => (b.doubt ?? -1) - (a.doubt ?? -1) || ORDERS.name(a, b),
  unreviewed: (a, b) => isReviewed(a) - isReviewed(b) || ORDERS.doubt(a, b),
  failures: (a, b) => (a.state === "done") - (b.state === "done") || ORDERS.doubt(a, b),
};

export function arrange() {
  const isShown = FILTERS[store.filter][1];
  const shown = [...store.items.values()].filter(
    (item) => isShown(item) && (!store.folder || folderOf(item) === store.folder));
  store.order = shown.sort(ORDERS[store.sort]).map((item) => item.id);
  emit("arranged");
}

export function folders() {
  return [...new Set([...store.items.values()].map(folderOf))].sort(collator.compare);
}

// ---- decisions -----------------------------------------------------------------------------------

// Saves decisions; `changes` are pairs of id and decision. Returns when they are on the disk.
export function decide(changes, { isHistory = false } = {}) {
  const records = changes.map(([id, decision]) => ({ id, before: store.items.get(id).decision, after: clean(decision) }));
  if (!isHistory) {
    history.past.push(records);
    history.future.length = 0;
  }
  for (const { id, after } of records) store.items.get(id).decision = after;
  emit("decided", { ids: records.map((record) => record.id) });
  waiting += 1;
  emit("saving", waiting);
  saving = saving.then(() => send(records, isHistory)).finally(() => {
    waiting -= 1;
    emit("saving", waiting);
  });
  return saving;
}

async function send(records, isHistory) {
  try {
    const changes = records.map(({ id, after }) => ({ id, decision: after }));
    const saved = await postJson("/api/decisions", { client, changes });
    const sent = new Map(records.map(({ id, after }) => [id, after]));
    const isCurrent = (change) => store.items.get(change.id)?.decision === sent.get(change.id);
    take(saved.changes.filter(isCurrent));
    for (const { id, pending } of saved.changes) {
      if (pending) store.pending.add(id); else store.pending.delete(id);
    }
    emit("saved", { ids: records.map((record) => record.id) });
  } catch (error) {
    for (const { id, before } of records) if (store.items.has(id)) store.items.get(id).decision = before;
    if (!isHistory) history.past = history.past.filter((entry) => entry !== records);
    emit("decided", { ids: records.map((record) => record.id) });
    emit("error", `Not saved: ${error.message}`);
  }
}

export const whenSaved = () => saving;

// A decision without what is at its default.
function clean(decision) {
  const kept = {};
  for (const [key, value] of Object.entries(decision)) {
    const isEmpty = value === undefined || value === null || value === "none"
      || (Array.isArray(value) && !value.length)
      || (typeof value === "object" && !Array.isArray(value) && !Object.keys(value).length);
    if (!isEmpty) kept[key] = value;
  }
  return kept;
}

export const canUndo = () => history.past.length > 0;
export const canRedo = () => history.future.length > 0;

export function undo() {
  const records = history.past.pop();
  if (!records) return null;
  history.future.push(records);
  decide(records.map(({ id, before }) => [id, before]), { isHistory: true });
  return records[0].id;
}

export function redo() {
  const records = history.future.pop();
  if (!records) return null;
  history.past.push(records);
  decide(records.map(({ id, after }) => [id, after]), { isHistory: true });
  return records[0].id;
}

// ---- writing ----------------------------------------------------------------------------------

export const write = () => saving.then(() => postJson("/api/write", {}));
export const stopWriting = () => postJson("/api/stop", {});
