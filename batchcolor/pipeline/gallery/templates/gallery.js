"use strict";
const cards = [...document.querySelectorAll(".card")];
const viewer = document.getElementById("viewer");
const pair = document.getElementById("pair");
const [before, after, line, split] = ["before", "after", "line", "split"].map((id) => document.getElementById(id));
let current = 0;

function showSplit() {
  const share = Number(split.value);
  before.style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  line.style.left = `${share}%`;
}

function fit() {
  const card = cards[current];
  const stage = pair.parentElement;
  const width = Number(card.dataset.width), height = Number(card.dataset.height);
  const scale = Math.min((stage.clientWidth - 16) / width, (stage.clientHeight - 12) / height, 2);
  pair.style.width = `${Math.floor(width * scale)}px`;
  pair.style.height = `${Math.floor(height * scale)}px`;
}

function show(index) {
  current = index;
  const card = cards[index];
  document.getElementById("name").textContent = card.dataset.name;
  after.src = card.getAttribute("href");
  pair.classList.toggle("single", !card.dataset.before);
  if (card.dataset.before) before.src = card.dataset.before;
  document.getElementById("previous").disabled = index === 0;
  document.getElementById("next").disabled = index === cards.length - 1;
  if (!viewer.open) viewer.showModal();
  fit();
  showSplit();
  if (card.dataset.before) split.focus();
}

function step(by) {
  if (cards[current + by]) show(current + by);
}

cards.forEach((card, index) => card.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  split.value = 50;
  show(index);
}));
split.addEventListener("input", showSplit);
document.getElementById("previous").addEventListener("click", () => step(-1));
document.getElementById("next").addEventListener("click", () => step(1));
document.getElementById("close").addEventListener("click", () => viewer.close());
viewer.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    event.preventDefault();
    step(event.key === "ArrowRight" ? 1 : -1);
  }
});
viewer.addEventListener("close", () => cards[current].focus());
addEventListener("resize", () => viewer.open && fit());
