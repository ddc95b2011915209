// The menu: folded behind a button where there is no room beside the page; it says where the reader is.
(() => {
  "use strict";
  document.documentElement.classList.add("scripted");
  const nav = () => document.querySelector("nav");
  function fold(folded) {
    nav().classList.toggle("open", !folded);
    nav().querySelector("button").setAttribute("aria-expanded", `${!folded}`);
  }
  function mark() {
    const links = [...nav().querySelectorAll("a")];
    const passed = links.filter(({ hash }) => document.querySelector(hash).getBoundingClientRect().top < innerHeight / 3);
    const here = passed.at(-1) ?? links[0];
    links.forEach((link) => link.toggleAttribute("aria-current", link === here));
    nav().querySelector("button span").textContent = here.textContent;
  }
  let asked = false;
  function soon() {
    if (!asked) requestAnimationFrame(() => { asked = false; mark(); });
    asked = true;
  }
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon, { passive: true });
  document.addEventListener("report:updated", mark);
  document.addEventListener("click", ({ target }) => {
    if (target.closest("nav button")) fold(nav().classList.contains("open"));
    else if (nav().classList.contains("open")) fold(true);
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !nav().classList.contains("open")) return;
    fold(true);
    nav().querySelector("button").focus();
  });
  fold(true);
  mark();
})();
