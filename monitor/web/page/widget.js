// The screen as a widget of anywidget's; screen.js stands before this in the same module.

export default {
  render({ model, el }) {
    const screen = new GuestScreen(el, (message) => model.send(message));
    const hear = (message, buffers) => {
      if (message.kind !== "frame") return;
      const { buffer, byteOffset, byteLength } = buffers[0];
      screen.frame(new Uint8Array(buffer, byteOffset, byteLength));
    };
    model.on("msg:custom", hear);
    model.send({ kind: "hello" });
    return () => {
      model.off("msg:custom", hear);
      model.send({ kind: "release" });
    };
  },
};
