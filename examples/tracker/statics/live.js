// Fetches the list of tasks again whenever a task of the project has changed, on any server.
const list = document.getElementById("tasks");
const address = `/projects/${list.dataset.project}`;
const refresh = async () => {
  const answer = await fetch(`${address}/tasks`);
  if (answer.ok) list.innerHTML = await answer.text();
};
const changes = new EventSource(`${address}/changes`);
changes.onmessage = refresh;
changes.addEventListener("gap", refresh); // something may have been missed
