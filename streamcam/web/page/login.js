// Without it the form works as well. With it, a link to one camera leads there.

const form = document.querySelector("form");

/** Browsers keep the fragment of a form's address when they are sent on. */
const keepView = () => { form.action = `/login${location.hash}`; };

/** Whoever follows a link of another website comes without the cookie: the first request of ours has it. */
async function goOnIfAdmitted() {
  const answer = await fetch("/", { headers: { accept: "text/html" } });
  if (answer.ok) location.reload();
}

keepView();
addEventListener("hashchange", keepView);
if (location.pathname !== "/login") goOnIfAdmitted();
