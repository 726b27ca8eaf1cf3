const answerTimeout = 10_000;

// Where nobody is authenticated, members enter by their names.
const open = { required: false, member: null, expiresAt: null };

// readSession returns who this browser is known as. If that can't be read, the page asks for a
// name, and the server decides.
export async function readSession() {
  try {
    const response = await fetch("/api/v1/session", { cache: "no-store", signal: AbortSignal.timeout(answerTimeout) });
    return response.ok ? await response.json() : open;
  } catch {
    return open;
  }
}
