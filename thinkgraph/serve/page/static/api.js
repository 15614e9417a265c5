// The server's routes: JSON, and a run's events as they come.

export class Refusal extends Error {}

async function asked(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refusal("the server can't be reached; is it still running?");
  }
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const told = body.error?.message ?? body.error ?? `the server answered ${answer.status}`;
    throw new Refusal(told);
  }
  return body;
}

export const get = (path) => asked(path);
export const remove = (path) => asked(path, { method: "DELETE" });
export const post = (path, body = {}) =>
  asked(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

// Follow a run; the browser reconnects by itself and says which event it had last.
// onAway is told whether the server is away, onLost that the run can't be followed any more.
export function follow(id, { onEvent, onAway, onLost }) {
  const source = new EventSource(`/page/runs/${encodeURIComponent(id)}/events`);
  source.onopen = () => onAway(false);
  source.onmessage = (message) => {
    for (const event of JSON.parse(message.data)) {
      try {
        onEvent(event);
      } catch (error) {
        console.error(error); // what comes after it is shown all the same
      }
    }
  };
  source.addEventListener("over", () => source.close());
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) onLost();
    else onAway(true);
  };
  return () => source.close();
}
