/**
 * Runs before anything is drawn, so it is small, a classic script, and imports nothing: the language, the theme, the size of the text, and whether
 * the first view is the sign-in form of the document or a signed-in user's. The keys are those of session.js, words.js and
 * settings/.
 */

(() => {
  const root = document.documentElement;
  const kept = (/** @type {string} */ key) => {
    try {
      return localStorage.getItem(key) ?? "";
    } catch {
      return ""; // storage is forbidden
    }
  };
  const wanted = [kept("relay.language"), ...navigator.languages].map((tag) => tag.slice(0, 2).toLowerCase());
  root.lang = wanted.find((tag) => tag === "en" || tag === "fr") ?? "en";
  const theme = kept("relay.theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const size = kept("relay.text-size");
  if (size) root.dataset.text = size;
  const isSignedIn = kept("relay.session") !== "";
  const acts = /^#(setup|invite|way|reset|mail)=/.test(location.hash);
  root.dataset.first = isSignedIn && !/^#(reset|mail)=/.test(location.hash) ? (/\/admin$/.test(location.pathname) ? "admin" : "messenger") : acts ? "link" : "sign-in";
  // Only who is signed in needs more than the sign-in form at once.
  const parts = document.querySelector("meta[name=messenger]")?.getAttribute("content")?.split(" ") ?? [];
  for (const href of root.dataset.first === "messenger" ? parts : []) document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href }));
})();
