// Without it the form works as well. With it, a link to one camera leads there after the login.

const form = document.querySelector("form");

/** Browsers keep the fragment of a form's address when they are sent on. */
const keepView = () => { form.action = `/login${location.hash}`; };

keepView();
addEventListener("hashchange", keepView);
