// The guest's screen on a canvas: frames in (monitor/web/frames.py), keys and mouse out (hands.py).
// For the page of `vp web` and for the widget in a notebook.

const PLACES = 65535; // of the pointer, over the whole screen

export class GuestScreen {
  // `send` is called with messages.
  constructor(parent, send) {
    this.send = send;
    this.drawing = Promise.resolve();
    this.canvas = document.createElement("canvas");
    this.canvas.className = "vp-screen";
    this.canvas.tabIndex = 0;
    this.canvas.style.cssText = "background:#000;max-width:100%;cursor:crosshair;outline-offset:2px";
    this.canvas.dataset.lmSuppressShortcuts = "true"; // JupyterLab's keys are the guest's here
    this.context = this.canvas.getContext("2d");
    parent.appendChild(this.canvas);
    this.motion = null;
    this.listen();
  }

  // Frames are drawn in the order in which they come.
  frame(bytes) {
    this.drawing = this.drawing.then(() => this.draw(bytes)).catch(console.error);
  }

  async draw(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 4 + view.getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, at)));
    const images = await Promise.all(head.rectangles.map(([, , , , length]) => {
      const png = bytes.slice(at, at + length);
      at += length;
      return createImageBitmap(new Blob([png], { type: "image/png" }));
    }));
    if (this.canvas.width !== head.width || this.canvas.height !== head.height) {
      this.canvas.width = head.width;
      this.canvas.height = head.height;
    }
    head.rectangles.forEach(([x, y], index) => this.context.drawImage(images[index], x, y));
    this.send({ kind: "drawn" });
  }

  listen() {
    const canvas = this.canvas;
    for (const [type, down] of [["keydown", true], ["keyup", false]]) {
      canvas.addEventListener(type, (event) => {
        event.preventDefault();
        event.stopPropagation();
        this.flush();
        this.send({ kind: "key", code: event.code, down, repeat: event.repeat });
      });
    }
    canvas.addEventListener("blur", () => this.send({ kind: "release" }));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("mousemove", (event) => this.move(event, 0));
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return; // the page's
      event.preventDefault();
      this.move(event, Math.sign(event.deltaY));
    }, { passive: false });
    for (const type of ["mousedown", "mouseup"]) {
      canvas.addEventListener(type, (event) => {
        event.preventDefault();
        canvas.focus({ preventScroll: true });
        this.move(event, 0);
        this.flush();
      });
    }
  }

  // Motions within some milliseconds are one.
  move(event, wheel) {
    const canvas = this.canvas;
    const scale = canvas.width / Math.max(1, canvas.clientWidth);
    if (this.motion === null) {
      this.motion = { x: 0, y: 0, wheel: 0 };
      setTimeout(() => this.flush(), 16);
    }
    this.motion.x += event.movementX * scale;
    this.motion.y += event.movementY * scale;
    this.motion.wheel += wheel;
    this.motion.buttons = event.buttons;
    this.motion.place = document.pointerLockElement === canvas ? null
      : [place(event.offsetX, canvas.clientWidth), place(event.offsetY, canvas.clientHeight)];
  }

  flush() {
    if (this.motion === null) return;
    const { x, y, wheel, buttons, place } = this.motion;
    this.motion = null;
    this.send({ kind: "mouse", x: Math.round(x), y: Math.round(y), place, buttons, wheel });
  }
}

function place(at, size) {
  return Math.max(0, Math.min(PLACES, Math.round(at * PLACES / Math.max(1, size - 1))));
}
