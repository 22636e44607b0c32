// The component: one editor in each place, told of new data at every run of the page's script.
import { Editor } from "./editor.js";

const editors = new WeakMap();

export default function show({ parentElement, data, setStateValue }) {
  const send = (message) => setStateValue("edit", message);
  let editor = editors.get(parentElement);
  if (editor) {
    editor.receive(data, send);
  } else {
    editor = new Editor(parentElement, data, send);
    editors.set(parentElement, editor);
  }
  return () => {
    editor.flush();
    // Streamlit also calls this when new data overtake a call that is still loading
    setTimeout(() => {
      if (!editor.place.isConnected) {
        editor.destroy();
        editors.delete(parentElement);
      }
    });
  };
}
