// Requests to the server, and the id of this page.

export const client = crypto.randomUUID();

// `isModel`: a model cannot be loaded.
export class RequestError extends Error {
  constructor(reason, isModel = false) {
    super(reason);
    this.isModel = isModel;
  }
}

async function check(response) {
  if (response.ok) return response;
  let answer = {};
  try {
    answer = await response.json();
  } catch { /* no JSON: the status is the reason */ }
  throw new RequestError(answer.error || `the server answers ${response.status}`, Boolean(answer.model));
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError("the server does not answer: is `batchcolor review` still running?");
  }
  return check(response);
}

export async function getJson(path) {
  return (await request(path)).json();
}

export async function postJson(path, body, signal) {
  const response = await post(path, body, signal);
  return response.json();
}

export function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return request(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

// Returns the address of a picture, and sentences about its decision. `shot`: the number of a shot of a film.
export async function renderPreview(id, decision, side, signal, shot = null) {
  const response = await post(`/api/items/${id}/preview`, { decision, side, shot }, signal);
  const notes = JSON.parse(response.headers.get("batchcolor-notes") || "[]");
  return { url: URL.createObjectURL(await response.blob()), notes };
}

export function pictureUrl(item, kind, side) {
  const size = side ? `&side=${side}` : "";
  return `/api/items/${item.id}/${kind}?v=${item.version}${size}`;
}

export const shotUrl = (item, shot, side) => `/api/items/${item.id}/shots/${shot}?v=${item.version}&side=${side}`;

export async function renderClip(id, decision, shot) {
  const response = await post(`/api/items/${id}/clip`, { decision, shot });
  return URL.createObjectURL(await response.blob());
}
