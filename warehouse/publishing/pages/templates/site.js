"use strict";
(function () {
  var root = document.documentElement;
  var button = document.getElementById("theme");
  function stored() { try { return localStorage.getItem("mhwg-theme"); } catch (e) { return null; } }
  var kept = stored();
  if (kept === "dark" || kept === "light") { root.setAttribute("data-theme", kept); }
  if (!button) { return; }
  button.hidden = false;
  button.addEventListener("click", function () {
    var isDark = root.getAttribute("data-theme")
      ? root.getAttribute("data-theme") === "dark"
      : window.matchMedia("(prefers-color-scheme: dark)").matches;
    var next = isDark ? "light" : "dark";
    root.setAttribute("data-theme", next);
    try { localStorage.setItem("mhwg-theme", next); } catch (e) { /* a page opened as a file may have no storage */ }
  });
})();
