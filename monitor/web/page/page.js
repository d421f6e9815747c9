// The page of `vp web`: the screen, the serial console, and what the machine is asked.

const { GuestScreen } = await import("./screen.js" + location.search);
const find = (selector) => document.querySelector(selector);
const socket = new WebSocket(`ws://${location.host}/socket${location.search}`);
socket.binaryType = "arraybuffer";
let ended = "";
let number = 0;
const asked = new Map(); // by number: what to do with the answer

function send(message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

// A promise of the answer; one question after the other.
let before = Promise.resolve();
function ask(what, text) {
  const answer = before.then(() => new Promise((resolve) => {
    asked.set(++number, resolve);
    send({ kind: "ask", what, text, number });
  }));
  before = answer;
  return answer;
}

// The screen

const screen = new GuestScreen(find("#screen"), send);
screen.canvas.focus();
find("#capture").onclick = () => { screen.canvas.focus(); screen.canvas.requestPointerLock(); };
find("#screenshot").onclick = () => {
  const link = document.createElement("a");
  link.download = "screen.png";
  link.href = screen.canvas.toDataURL("image/png");
  link.click();
};

// The serial console

let terminal = null;
const decoder = new TextDecoder();
if (window.Terminal) {
  terminal = window.terminal = new window.Terminal({ cols: 80, rows: 24, scrollback: 5000 });
  terminal.on?.("data", (data) => send({ kind: "serial", data }));
  terminal.onData?.((data) => send({ kind: "serial", data }));
}
let heard = "";
function hear(bytes) {
  const text = decoder.decode(bytes, { stream: true });
  if (terminal === null) return;
  if (terminal.element) terminal.write(text);
  else heard += text;
}
function openTerminal() {
  if (terminal === null || terminal.element) return;
  terminal.open(find("#terminal"));
  terminal.write(heard);
  heard = "";
}

// Tabs

const drawn = { statistics: showStatistics, tc: showPicture, mmu: showPicture };
let shown = "";
async function show(name) {
  shown = name;
  for (const tab of document.querySelectorAll(".tab")) tab.classList.toggle("shown", tab.id === name);
  for (const button of document.querySelectorAll("[data-tab]")) {
    button.setAttribute("aria-selected", String(button.dataset.tab === name));
  }
  if (name === "serial") openTerminal();
  await drawn[name]?.(name);
}
for (const button of document.querySelectorAll("[data-tab]")) {
  button.onclick = () => show(button.dataset.tab);
}

async function showPicture(name) {
  const { answer, error } = await ask(name);
  const image = find(`#${name} img`);
  find(`#${name} p`).textContent = error ?? "";
  if (answer === undefined) return;
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(new Blob([answer], { type: "image/svg+xml" }));
}

async function showStatistics() {
  const { answer } = await ask("statistics");
  if (answer === undefined) return;
  const figures = `${answer.instructions.toLocaleString("en")} instructions`;
  if (!ended) find("#state").textContent = `${answer.running ? "runs" : "stands"}, ${figures}`;
  if (shown === "statistics") find("#statistics table").replaceChildren(...rows("", answer));
}

function rows(name, value) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, each]) => rows(name ? `${name}, ${key}` : key, each));
  }
  const row = document.createElement("tr");
  for (const text of [name.replaceAll("_", " "), value?.toLocaleString?.("en") ?? String(value)]) {
    row.insertCell().textContent = text;
  }
  return [row];
}

// The monitor's console

async function line(text) {
  const { answer, error } = await ask("line", text);
  const output = find("#monitor pre");
  output.textContent = (output.textContent + `(vp) ${text}\n${answer || error || ""}\n`).slice(-50000);
  output.parentElement.scrollTop = output.parentElement.scrollHeight;
}
find("#monitor form").onsubmit = (event) => {
  event.preventDefault();
  const input = find("#monitor input");
  line(input.value);
  input.value = "";
};
for (const button of document.querySelectorAll("[data-line]")) {
  button.onclick = () => { line(button.dataset.line); screen.canvas.focus(); };
}

// The websocket

socket.onmessage = ({ data }) => {
  if (typeof data !== "string") {
    const bytes = new Uint8Array(data);
    if (bytes[0] === 0x46) screen.frame(bytes.subarray(1)); // F
    else hear(bytes.subarray(1)); // S
    return;
  }
  const message = JSON.parse(data);
  if (message.kind === "answer") {
    asked.get(message.number)?.(message);
    asked.delete(message.number);
  } else if (message.kind === "ended") {
    ended = message.text;
    find("#state").textContent = ended;
  }
};
socket.onclose = ({ reason }) => {
  find("#state").textContent = ended || reason || "the machine is gone";
};
socket.onopen = async () => {
  await show("serial");
  while (socket.readyState === WebSocket.OPEN) {
    await showStatistics();
    if (drawn[shown] === showPicture) await showPicture(shown);
    await new Promise((resolve) => setTimeout(resolve, shown === "statistics" ? 500 : 1000));
  }
};
