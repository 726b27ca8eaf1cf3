// The wire format of Server-Sent Events:
// https://html.spec.whatwg.org/multipage/server-sent-events.html

// A longer line or event is a mistake, and would fill the memory.
const maxLength = 1 << 20;

// readEvents reads events from the body of an answer, until it ends, and calls
//   on.event({ name, data, id })  with each event; the id is the last one that was sent;
//   on.retry(milliseconds)        with each wait that the server asks for.
// It fails if the body does, if on.event does, or if a line or an event is too long.
export async function readEvents(body, on) {
  const reader = body.getReader();
  const parse = createParser(on);
  const decoder = new TextDecoder(); // drops a byte order mark, and joins split characters
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parse(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// createParser returns a function that takes the text of a stream in pieces.
export function createParser(on) {
  let rest = ""; // of a line that is not complete
  let endsInReturn = false; // then a line feed that follows belongs to it
  let data = [];
  let length = 0; // of data
  let name = "";
  let id = "";

  const dispatch = () => {
    if (data.length > 0) on.event({ name: name || "message", data: data.join("\n"), id });
    data = [];
    length = 0;
    name = "";
  };

  const takeField = (line) => {
    const [, field, value] = line.match(/^([^:]*)(?:: ?)?(.*)$/s);
    if (field === "data") {
      data.push(value);
      length += value.length;
    } else if (field === "event") {
      name = value;
    } else if (field === "id" && !value.includes("\0")) {
      id = value;
    } else if (field === "retry" && /^\d+$/.test(value)) {
      on.retry(Number(value));
    }
  };

  return (text) => {
    if (text === "") return;
    const lines = (rest + (endsInReturn && text[0] === "\n" ? text.slice(1) : text)).split(/\r\n|\n|\r/);
    endsInReturn = text.endsWith("\r");
    rest = lines.pop();
    for (const line of lines) line === "" ? dispatch() : takeField(line);
    if (rest.length + length > maxLength) throw new Error(`an event is longer than ${maxLength} characters`);
  };
}
